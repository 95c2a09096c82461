// Command client signs requests with the vendor's EdgeGrid for Go and prints
// what came back. Input and output are those of client.py; beside the body
// there is what the client decoded of it, written as JSON again.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/akamai/AkamaiOPEN-edgegrid-golang/v11/pkg/edgegrid"
	"github.com/akamai/AkamaiOPEN-edgegrid-golang/v11/pkg/session"
)

type call struct {
	Path          string
	Query         map[string]string
	As            string
	Method        string
	AccountKey    string `json:"account_key"`
	Authorization string
	Twice         bool
}

type credential struct {
	ClientToken  string `json:"client_token"`
	AccessToken  string `json:"access_token"`
	ClientSecret string `json:"client_secret"`
}

type job struct {
	Host, CA    string
	Credentials map[string]credential
	Calls       []call
}

type result struct {
	Status    int     `json:"status"`
	Type      string  `json:"type"`
	Location  string  `json:"location"`
	Redirects int     `json:"redirects"`
	Body      string  `json:"body"`
	Again     int     `json:"again"`
	Decoded   *answer `json:"decoded"`
}

// answer is how programs in Go decode the API: times as time.Time, values as
// float64, ids of CP codes and reporting groups as integers.
type answer struct {
	AccountID          *string    `json:"accountId,omitempty"`
	ContractID         *string    `json:"contractId,omitempty"`
	ReportingGroupID   *int       `json:"reportingGroupId,omitempty"`
	ReportingGroupName *string    `json:"reportingGroupName,omitempty"`
	ProductID          *string    `json:"productId,omitempty"`
	ProductName        *string    `json:"productName,omitempty"`
	Start              *string    `json:"start,omitempty"`
	End                *string    `json:"end,omitempty"`
	Month              *string    `json:"month,omitempty"`
	DataStatus         *string    `json:"dataStatus,omitempty"`
	RequestDate        *time.Time `json:"requestDate,omitempty"`
	CPCodes            []int      `json:"cpCodes,omitempty"`
	UsagePeriods       []period   `json:"usagePeriods,omitempty"`
}

type period struct {
	Month         *string      `json:"month,omitempty"`
	Start         *string      `json:"start,omitempty"`
	End           *string      `json:"end,omitempty"`
	Region        *string      `json:"region,omitempty"`
	DataStatus    *string      `json:"dataStatus,omitempty"`
	CPCodes       []int        `json:"cpCodes,omitempty"`
	Stats         []stat       `json:"stats,omitempty"`
	CPCodeStats   []cpCodeStat `json:"cpCodeStats,omitempty"`
	UsageProducts []product    `json:"usageProducts,omitempty"`
}

type stat struct {
	StatType   *string  `json:"statType,omitempty"`
	Unit       *string  `json:"unit,omitempty"`
	IsBillable *bool    `json:"isBillable,omitempty"`
	Value      *float64 `json:"value,omitempty"`
	Values     []value  `json:"values,omitempty"`
}

type value struct {
	Date  *string  `json:"date,omitempty"`
	Value *float64 `json:"value,omitempty"`
}

type cpCodeStat struct {
	CPCode *int   `json:"cpCode,omitempty"`
	Stats  []stat `json:"stats,omitempty"`
}

type product struct {
	ProductID   *string `json:"productId,omitempty"`
	ProductName *string `json:"productName,omitempty"`
}

func main() {
	log.SetFlags(0)
	var j job
	check(json.NewDecoder(os.Stdin).Decode(&j))
	client, err := j.client()
	check(err)
	var results []result
	for _, c := range j.Calls {
		r, err := j.make(client, c)
		check(err)
		results = append(results, r)
	}
	check(json.NewEncoder(os.Stdout).Encode(results))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// client trusts the job's authority.
func (j job) client() (*http.Client, error) {
	if j.CA == "" {
		return &http.Client{}, nil
	}
	pem, err := os.ReadFile(j.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no authority in " + j.CA)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}, nil
}

func (j job) make(client *http.Client, c call) (result, error) {
	host, err := url.Parse(j.Host)
	if err != nil {
		return result{}, err
	}
	key := j.Credentials[c.As]
	signer := edgegrid.Config{Host: host.Host, ClientToken: key.ClientToken, AccessToken: key.AccessToken, ClientSecret: key.ClientSecret,
		AccountKey: c.AccountKey, MaxBody: edgegrid.MaxBodySize}
	s, err := session.New(session.WithSigner(signer), session.WithClient(client))
	if err != nil {
		return result{}, err
	}
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	// Without a scheme in the URL the client takes https.
	target := c.Path
	if host.Scheme == "http" {
		target = j.Host + c.Path
	}
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		return result{}, err
	}
	query := r.URL.Query()
	for name, value := range c.Query {
		query.Set(name, value)
	}
	r.URL.RawQuery = query.Encode()
	return send(s, r, c, host)
}

func send(s session.Session, r *http.Request, c call, host *url.URL) (result, error) {
	var out *answer
	if c.As == "" { // nothing is signed
		r.URL.Scheme, r.URL.Host = host.Scheme, host.Host
		if c.Authorization != "" {
			r.Header.Set("Authorization", c.Authorization)
		}
		response, err := s.Client().Do(r)
		return resultOf(response, nil, err)
	}
	var into any
	if r.Method == http.MethodGet {
		out = &answer{}
		into = out
	}
	response, err := s.Exec(r, into)
	res, err := resultOf(response, out, err)
	if err == nil && c.Twice {
		response, err = s.Client().Do(r)
		var again result
		again, err = resultOf(response, nil, err)
		res.Again, res.Body = again.Status, again.Body
	}
	return res, err
}

func resultOf(response *http.Response, out *answer, err error) (result, error) {
	if err != nil {
		return result{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return result{}, err
	}
	res := result{Status: response.StatusCode, Type: response.Header.Get("Content-Type"), Location: response.Header.Get("Location"), Body: string(body)}
	if response.Request.Response != nil { // the answer that redirected here
		res.Redirects = 1
	}
	if out != nil && response.StatusCode == http.StatusOK {
		res.Decoded = out
	}
	return res, nil
}
