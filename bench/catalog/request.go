package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// call sends a request and returns how long its whole answer took.
func (b *bench) call(ctx context.Context, method, path, key, body string, want int) (time.Duration, error) {
	began := time.Now()
	_, err := b.request(ctx, method, path, key, body, want)
	return time.Since(began), err
}

// post sends a body and reads the answer.
func (b *bench) post(ctx context.Context, path, body string, into any) error {
	text, err := b.request(ctx, http.MethodPost, path, b.admin, body, http.StatusCreated)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (b *bench) request(ctx context.Context, method, path, key, body string, want int) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, b.server.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+key)
	q.Header.Set("Fastly-Key", key)
	if strings.HasSuffix(path, "/events") {
		q.Header.Set("Content-Type", "application/cloudevents-batch+json")
	} else if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %.500s", method, path, a.Status, text)
	}
	return text, err
}
