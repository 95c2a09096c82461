package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"odometer/client"
	"odometer/internal/catalog"
)

// export takes the whole catalog, and applies what it got, which changes nothing.
func (b *bench) export(ctx context.Context) error {
	api, err := client.New(client.Options{URL: b.server.URL, Key: b.admin, HTTPClient: &http.Client{}})
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(b.dir, "export.yaml"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	began, cpu := time.Now(), b.server.CPU()
	if err := api.ExportTo(ctx, f); err != nil {
		return err
	}
	took := time.Since(began)
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	row("export: time, CPU time, size", "%s, %s, %d MiB", took.Round(time.Millisecond), (b.server.CPU() - cpu).Round(time.Millisecond), size>>20)
	row("most memory so far", "%d MiB", b.server.Memory("VmHWM")>>20)
	began, cpu = time.Now(), b.server.CPU()
	documents, n := catalog.NewDocuments(f), 0
	for ; ; n++ {
		text, _, err := documents.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		d, err := api.Apply(ctx, text, client.ApplyOptions{})
		if err != nil {
			return err
		}
		if !d.Empty() {
			return fmt.Errorf("document %d of the export changes %d entries", n+1, len(d.Changes))
		}
	}
	row("what was exported is applied again: documents, time, CPU time", "%d, %s, %s", n, time.Since(began).Round(time.Millisecond), (b.server.CPU() - cpu).Round(time.Millisecond))
	row("most memory so far", "%d MiB", b.server.Memory("VmHWM")>>20)
	return nil
}
