// Package edgegrid signs and verifies requests as EG1-HMAC-SHA256 does: a
// header that names a client, a time and a nonce, and a keyed hash of the
// request as it was sent. It keeps no credentials and reads no clock.
//
//	Authorization: EG1-HMAC-SHA256 client_token=C;access_token=A;timestamp=T;nonce=N;signature=S
//
//	signing key = base64(HMAC(client secret, T))
//	S           = base64(HMAC(signing key, METHOD \t scheme \t host \t target \t \t content hash \t header up to "signature="))
package edgegrid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

const (
	algorithm       = "EG1-HMAC-SHA256 "
	timestampLayout = "20060102T15:04:05+0000"
	signatureField  = "signature="
	hashedBody      = 131072 // bytes of a POST body that are signed
)

// Request is what of a request is signed, as the client sent it.
type Request struct {
	Method string
	Scheme string // the public one: "https" also behind a proxy that ends TLS
	Host   string // the Host header, with its port if it has one
	Target string // path and query as they stand in the request line; Verify takes a whole URL too
	Body   []byte // counts for POST only

	// PublicHost is how the server spells its own host, for Verify: clients may
	// sign that spelling and send another. "" = it has none.
	PublicHost string
}

// Identity says who signs. The secret is used as the text it is.
type Identity struct {
	ClientToken, AccessToken, Secret string
}

// header is an Authorization header taken apart.
type header struct {
	client, access, timestamp, nonce, signature string
	prefix                                      string // what comes before "signature=", which is signed too
}

// parse takes apart a header value. Each of the five fields must be there
// once and not be empty, the signature last; ok is false otherwise.
func parse(value string) (h header, ok bool) {
	at := strings.LastIndexByte(value, ';')
	fields, found := strings.CutPrefix(value, algorithm)
	if !found || at < 0 || !strings.HasPrefix(value[at+1:], signatureField) {
		return header{}, false
	}
	h.prefix = value[:at+1]
	into := map[string]*string{"client_token": &h.client, "access_token": &h.access, "timestamp": &h.timestamp,
		"nonce": &h.nonce, "signature": &h.signature}
	for field := range strings.SplitSeq(fields, ";") {
		name, text, _ := strings.Cut(field, "=") // base64 may end in "=" as well
		to := into[name]
		if to == nil || *to != "" || text == "" {
			return header{}, false
		}
		*to = text
	}
	return h, h.client != "" && h.access != "" && h.timestamp != "" && h.nonce != "" && h.signature != ""
}

// parseTimestamp reads a header's timestamp, which is in UTC to the second.
func parseTimestamp(s string) (time.Time, bool) {
	if len(s) != len(timestampLayout) { // time.Parse would take a fraction too
		return time.Time{}, false
	}
	t, err := time.Parse(timestampLayout, s)
	return t, err == nil
}

// signature is the keyed hash of a request; prefix is the header up to it.
func signature(secret, timestamp, prefix string, r Request) string {
	data := strings.Join([]string{strings.ToUpper(r.Method), r.Scheme, r.Host, r.Target, "", contentHash(r), prefix}, "\t")
	return keyedHash(keyedHash(secret, timestamp), data)
}

func keyedHash(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func contentHash(r Request) string {
	if !strings.EqualFold(r.Method, http.MethodPost) || len(r.Body) == 0 {
		return ""
	}
	sum := sha256.Sum256(r.Body[:min(len(r.Body), hashedBody)])
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Sign returns the Authorization header of a request signed by id at an
// instant. The nonce must be used once and hold no ";".
func Sign(id Identity, r Request, at time.Time, nonce string) string {
	timestamp := at.UTC().Format(timestampLayout)
	prefix := algorithm + "client_token=" + id.ClientToken + ";access_token=" + id.AccessToken +
		";timestamp=" + timestamp + ";nonce=" + nonce + ";"
	return prefix + signatureField + signature(id.Secret, timestamp, prefix, r)
}
