package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"odometer/internal/cloudevents"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/metering"
	"odometer/internal/store"
)

// ServerSettings configure a server. A test holds the defaults written here
// against those of the packages that they configure.
type ServerSettings struct {
	Data   string `default:"odometer-data" placeholder:"DIR" setting:"" help:"Data directory. It is made if it does not exist."`
	Listen string `default:"127.0.0.1:8080" setting:"" help:"Address to listen on. Port 0 is any free port."`

	AdminKey     string `name:"admin-key" placeholder:"KEY" setting:"" secret:"" help:"First admin key of a fresh data directory, in the form of a key. Better given as ODOMETER_ADMIN_KEY. Empty: the server makes one."`
	AdminKeyFile string `name:"admin-key-file" placeholder:"FILE" setting:"" help:"File (mode 0600) that holds the first admin key of a fresh data directory, or to which the server writes it. Default: admin.key in the data directory, if standard output is not a terminal."`
	showAdminKey bool   // print it wherever standard output leads: it is thrown away with the directory

	PublicURL string `name:"public-url" placeholder:"URL" setting:"" help:"Address that clients use. Links in answers begin with it. Empty: the address of each request."`

	WebhookOrigins string `name:"webhook-origins" placeholder:"NAMES" setting:"" help:"Senders of CloudEvents webhooks that may deliver events, by the origins in their requests, separated by commas. * is all. Empty: no handshake is answered."`

	CatalogSettings `embed:""`

	TLSCert string `name:"tls-cert" placeholder:"FILE" setting:"" help:"File with the certificate chain in PEM. With tls-key, the server speaks HTTPS."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" setting:"" help:"File with the private key in PEM."`

	PprofListen   string `placeholder:"ADDR" setting:"" help:"Loopback address to serve Go profiles on. Empty: off."`
	MetricsAccess string `enum:"operator,open" default:"operator" setting:"" help:"Who may read /metrics. operator: keys with the operator right. open: anyone who can connect."`
	LogFormat     string `enum:"text,json" default:"text" setting:"" help:"Form of the log on standard error: text or json."`
	LogLevel      string `enum:"debug,info,warn,error" default:"info" setting:"" help:"Lowest level that is logged: debug, info, warn or error."`

	Checkpoint checkpointSettings `embed:"" prefix:"checkpoint."`
	Limits     limitSettings      `embed:"" prefix:"limits."`

	Periods      periodSettings       `embed:"" prefix:"periods."`
	ThousandEyes thousandEyesSettings `embed:"" prefix:"thousandeyes."`

	Reporter    reporterSettings    `embed:"" prefix:"reporter."`
	Marketplace marketplaceSettings `embed:"" prefix:"marketplace."`
}

// checkpointSettings say when folded state is written; whichever comes first.
type checkpointSettings struct {
	Events int           `default:"1000000" setting:"" help:"Checkpoint after this many events."`
	Bytes  byteSize      `default:"64MiB" setting:"" help:"Checkpoint after this many bytes of log."`
	Every  time.Duration `default:"30s" setting:"" help:"Checkpoint after this time, if anything is new."`
}

// limitSettings bound what is taken in and held.
type limitSettings struct {
	BodyBytes             byteSize      `default:"16MiB" setting:"" help:"Maximum size of a request body as sent."`
	DecompressedBytes     byteSize      `default:"64MiB" setting:"" help:"Maximum size of a request body after decompression (gzip or zstd)."`
	BodiesInFlight        byteSize      `default:"160MiB" setting:"" help:"Maximum bytes of all request bodies held at once, shared by organization and key. Beyond it the answer is 429."`
	Connections           int           `default:"8192" setting:"" help:"Maximum number of open connections. A further one closes the connection that has been without a request for longest."`
	ConnectionsPerAddress int           `default:"4096" setting:"" help:"Maximum number of open connections from one address, such as a proxy's."`
	BodyTimeout           time.Duration `default:"5m" setting:"" help:"Time limit for receiving a whole request body."`
	ShutdownGrace         time.Duration `default:"10s" setting:"" help:"Time limit for requests in progress when the server stops."`

	EventsPerRequest int           `default:"20000" setting:"" help:"Maximum number of events in one request."`
	IDBytes          int           `name:"id-bytes" default:"256" setting:"" help:"Maximum length of an event's id, in bytes."`
	Attributes       int           `default:"128" setting:"" help:"Maximum number of attributes in one event's data."`
	Depth            int           `default:"16" setting:"" help:"Maximum levels of nesting in one event's data."`
	PastAge          time.Duration `default:"87672h" setting:"" help:"How far in the past an event's time may be."`
	FutureAge        time.Duration `default:"24h" setting:"" help:"How far in the future an event's time may be."`

	MinFreeDisk    byteSize `default:"1GiB" setting:"" help:"Free disk space below which usage is refused with 507."`
	LogInFlight    byteSize `default:"64MiB" setting:"" help:"Maximum bytes of log that are appended and not yet folded. Beyond it the answer is 429."`
	CellBytes      byteSize `default:"256MiB" setting:"" help:"Memory for what no checkpoint holds yet: totals, groups and texts that are being folded or written."`
	CacheBytes     byteSize `default:"64MiB" setting:"" help:"Memory for the blocks that the stores keep, beside their tables in memory (up to 80 MiB)."`
	AnswerBytes    byteSize `default:"32MiB" setting:"" help:"Memory for answers, which are kept until usage reaches their months."`
	TextBytes      byteSize `default:"512MiB" setting:"" help:"Memory for the texts that groups consist of, some 20 bytes for each. Beyond it some are read from the disk."`
	Meters         int      `default:"1000" setting:"" help:"Maximum number of meters of one organization."`
	Keys           int      `default:"1000" setting:"" help:"Maximum number of keys of one organization that are not revoked."`
	AllKeys        int      `default:"100000" setting:"" help:"Maximum number of keys of all organizations that are not revoked."`
	KeyBytes       byteSize `default:"32MiB" setting:"" help:"Memory for keys, half a KiB for most. Those beyond it are read from the catalog when they are used."`
	CatalogEntries int      `default:"200000" setting:"" help:"Maximum number of catalog entries of one organization."`
	CatalogBytes   byteSize `default:"128MiB" setting:"" help:"Memory for catalog entries, beside products and entitlements. Those beyond it are read from the catalog when they are asked for."`
	KeptRejections int      `default:"100000" setting:"" help:"Number of rejected events kept for each organization. Further ones are only counted."`
	Reads          int      `default:"16" setting:"" help:"Maximum number of usage and event queries at a time, shared by organization and key."`

	QueryTime   time.Duration `default:"2m" setting:"" help:"Time limit for the queries of one request. Beyond it the answer is 503."`
	KeyRequests int           `default:"0" setting:"" help:"Maximum number of native API requests of one key in a minute. Beyond it the answer is 429. 0 is no limit."`
}

// periodSettings say when months are closed.
type periodSettings struct {
	CloseAfterDays int `default:"0" setting:"" help:"Close each customer's months for ever, this many days after they end. 0 is never."`
}

// thousandEyesSettings are those of the ThousandEyes surface.
type thousandEyesSettings struct {
	RateLimit int `default:"240" setting:"" help:"Maximum number of ThousandEyes requests of one customer in a minute. 0 is no limit."`
}

func (s *ServerSettings) httpLimits() httpserver.Limits {
	l := httpserver.DefaultLimits()
	l.BodyBytes, l.DecompressedBytes = int64(s.Limits.BodyBytes), int64(s.Limits.DecompressedBytes)
	l.BodiesInFlight, l.Connections = int64(s.Limits.BodiesInFlight), s.Limits.Connections
	l.ConnectionsPerAddress = s.Limits.ConnectionsPerAddress
	l.BodyTimeout, l.ShutdownGrace = s.Limits.BodyTimeout, s.Limits.ShutdownGrace
	return l
}

func (s *ServerSettings) meteringLimits() metering.Limits {
	l := metering.DefaultLimits()
	l.Reads, l.QueryTime = s.Limits.Reads, s.Limits.QueryTime
	l.Events = s.eventLimits()
	return l
}

func (s *ServerSettings) eventLimits() cloudevents.Limits {
	l := cloudevents.DefaultLimits()
	l.EventsPerRequest, l.IDBytes = s.Limits.EventsPerRequest, s.Limits.IDBytes
	l.Attributes, l.Depth = s.Limits.Attributes, s.Limits.Depth
	l.PastAge, l.FutureAge = s.Limits.PastAge, s.Limits.FutureAge
	return l
}

func (s *ServerSettings) ledgerLimits() ledger.Limits {
	l := ledger.DefaultLimits()
	l.CheckpointEvents, l.CheckpointBytes, l.CheckpointEvery = s.Checkpoint.Events, int64(s.Checkpoint.Bytes), s.Checkpoint.Every
	l.MinFreeDisk, l.BytesInFlight = uint64(s.Limits.MinFreeDisk), int64(s.Limits.LogInFlight)
	l.CellBytes, l.CacheBytes = int64(s.Limits.CellBytes), int64(s.Limits.CacheBytes)
	l.TextBytes, l.MetersPerOrg = int64(s.Limits.TextBytes), s.Limits.Meters
	l.KeptRejections, l.AnswerBytes = noneIfZero(s.Limits.KeptRejections), noneIfZero(int64(s.Limits.AnswerBytes))
	l.NoDiskFloor = s.Limits.MinFreeDisk == 0
	return l
}

func (s *ServerSettings) catalogLimits() store.Limits {
	l := store.DefaultLimits()
	l.KeysPerOrganization, l.Keys, l.KeyBytes = s.Limits.Keys, s.Limits.AllKeys, int64(s.Limits.KeyBytes)
	l.Nouns, l.NounBytes = s.Limits.CatalogEntries, int64(s.Limits.CatalogBytes)
	return l
}

// noneIfZero is a limit of 0 as the ledger takes it, for which 0 is the default.
func noneIfZero[T int | int64](limit T) T {
	if limit == 0 {
		return -1
	}
	return limit
}

// zeroIsMeant are the limits of which 0 says that there is none, or that
// nothing is kept. Of all others 0 is refused: it would be no limit that works.
var zeroIsMeant = map[string]bool{"min-free-disk": true, "answer-bytes": true, "kept-rejections": true, "key-requests": true}

// refuseZeros refuses settings below 1 that have no meaning, in a struct of settings.
func refuseZeros(prefix string, settings any) error {
	v := reflect.ValueOf(settings)
	for i := range v.NumField() {
		name := prefix + settingOf(v.Type().Field(i))
		if !v.Field(i).CanInt() {
			continue
		}
		n := v.Field(i).Int()
		if n < 0 || n == 0 && !zeroIsMeant[strings.TrimPrefix(name, prefix)] {
			return fmt.Errorf("%s: want more than 0", name)
		}
	}
	return nil
}

// settingOf is the name that kong gives a field.
func settingOf(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range f.Name {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(rune(f.Name[i-1])) || i+1 < len(f.Name) && unicode.IsLower(rune(f.Name[i+1]))) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Validate implements kong.Validatable for what no single flag shows.
func (s *ServerSettings) Validate() error {
	if s.Data == "" {
		return fmt.Errorf("data: is empty; name a directory")
	}
	if _, port, err := net.SplitHostPort(s.Listen); err != nil {
		return fmt.Errorf("listen %q: want HOST:PORT, such as 127.0.0.1:8080", s.Listen)
	} else if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("listen %q: there is no port %q", s.Listen, port)
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return fmt.Errorf("tls-cert and tls-key go together")
	}
	if s.PublicURL != "" {
		u, err := url.Parse(s.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("public-url: want an address such as https://meter.example")
		}
	}
	if s.Limits.Keys > s.Limits.AllKeys {
		return fmt.Errorf("limits.keys: %d is more than limits.all-keys, %d; raise that too", s.Limits.Keys, s.Limits.AllKeys)
	}
	if s.Periods.CloseAfterDays < 0 {
		return fmt.Errorf("periods.close-after-days: want 0 or more")
	}
	return s.CatalogSettings.Validate()
}

// publicBase is PublicURL as links begin with it.
func (s *ServerSettings) publicBase() string { return strings.TrimRight(s.PublicURL, "/") }

// publicScheme is that of the address that clients use, which they sign.
func (s *ServerSettings) publicScheme() string {
	scheme, _, given := strings.Cut(s.PublicURL, "://")
	switch {
	case given:
		return strings.ToLower(scheme)
	case s.TLSCert != "":
		return "https"
	}
	return "http"
}

// publicHost is the host of the address that clients use, as it was spelled; "" where it is each request's.
func (s *ServerSettings) publicHost() string {
	_, rest, _ := strings.Cut(s.PublicURL, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// logger writes the server's log.
func (s *ServerSettings) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // one of the flag's enum
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: scrub}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// defaultServerSettings are those of a command line that says nothing.
func defaultServerSettings() (ServerSettings, error) {
	var settings ServerSettings
	parser, err := kong.New(&settings)
	if err != nil {
		return settings, err
	}
	_, err = parser.Parse(nil)
	return settings, err
}

// webhookOrigins are the names of that setting.
func (s *ServerSettings) webhookOrigins() []string {
	var names []string
	for name := range strings.SplitSeq(s.WebhookOrigins, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
