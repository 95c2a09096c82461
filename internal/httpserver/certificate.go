package httpserver

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often, at most, handshakes look whether the files of
// the certificate have changed.
const certificateEvery = 10 * time.Second

// certificate is the server's TLS certificate as its files say. Files that
// change, as a renewal changes them, are read again at a handshake soon after.
// While they cannot be used - a certificate whose key is still the old one,
// say - the one before is served on.
type certificate struct {
	certFile, keyFile string
	now               func() time.Time
	logger            *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	looked time.Time     // when the files were last looked at
	seen   [2]fileFacets // the files that were read last, whether they could be used or not
}

// fileFacets tell one content of a file from the next.
type fileFacets struct {
	changed time.Time
	size    int64
}

func newCertificate(certFile, keyFile string, now func() time.Time, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, now: now, logger: logger}
	return c, c.load()
}

// load reads the files now.
func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read(c.facets())
}

// read reads the files, which looked like seen just before.
func (c *certificate) read(seen [2]fileFacets) error {
	c.looked, c.seen = c.now(), seen
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load TLS certificate and key: %w", err)
	}
	c.pair = &pair
	return nil
}

// facets looks at the files; one that cannot be looked at has none.
func (c *certificate) facets() (facets [2]fileFacets) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			facets[i] = fileFacets{info.ModTime(), info.Size()}
		}
	}
	return facets
}

// get is tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certificateEvery {
		c.looked = now
		if seen := c.facets(); seen != c.seen {
			if err := c.read(seen); err != nil {
				c.logger.Error("the TLS certificate's files have changed and cannot be used; the one before is served on", "error", err)
			} else {
				c.logger.Info("the TLS certificate's files have changed and were read again")
			}
		}
	}
	return c.pair, nil
}
