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
