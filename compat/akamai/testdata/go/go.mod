module client

go 1.26.0

require github.com/akamai/AkamaiOPEN-edgegrid-golang/v11 v11.1.0

require (
	github.com/benbjohnson/clock v1.3.5 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.7 // indirect
	github.com/mitchellh/go-homedir v1.1.0 // indirect
	go.uber.org/ratelimit v0.3.1 // indirect
	gopkg.in/ini.v1 v1.67.0 // indirect
)
