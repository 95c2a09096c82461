package sender

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	userAgent = "odometer"
	maxAnswer = 4 << 20 // bytes of an answer that are read
)

// direct is a client that follows no redirect. Neither usage nor what proves who
// sends it is for another address than the one that was set, and what answers
// there, without knowing what was sent, has accepted nothing.
func direct(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// exchange makes one request. Without an answer the status is 0; an answer that
// broke off has its status, what was read of it, and an error.
func exchange(client *http.Client, request *http.Request) (status int, body []byte, retry time.Duration, err error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, 0, err
	}
	defer response.Body.Close()
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		retry = time.Duration(seconds) * time.Second
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, body, retry, err
}
