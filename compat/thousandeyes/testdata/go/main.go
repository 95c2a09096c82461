// Command client calls the vendor's Go client, as its pages show, and prints
// what it makes of the answers. Input and output are those of client.py;
// operations have the Python client's names.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/thousandeyes/thousandeyes-sdk-go/v3/client"
	"github.com/thousandeyes/thousandeyes-sdk-go/v3/usage"
)

type job struct {
	Host  string
	Calls []call
}

type call struct {
	Operation string
	Arguments map[string]string
	Token     string
	How       string // "", "pages" or "rows"
}

type result struct {
	Value  any    `json:"value"`
	Error  string `json:"error"`
	Status int    `json:"status"`
	Body   string `json:"body"`
	Data   any    `json:"data"`
}

func main() {
	log.SetFlags(0)
	log.SetOutput(os.Stderr)
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		log.Fatal(err)
	}
	results := []result{}
	for _, c := range j.Calls {
		results = append(results, c.make(j.Host))
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

func (c call) make(host string) result {
	configuration := client.NewConfiguration().WithAuthToken(c.Token).WithServerUrl(host)
	api := (*usage.UsageAPIService)(&client.NewAPIClient(configuration).Common)
	switch c.Operation {
	case "get_usage":
		r := api.GetUsage()
		if aid, ok := c.Arguments["aid"]; ok {
			r = r.Aid(aid)
		}
		if list, ok := c.Arguments["expand"]; ok {
			var expand []usage.ExpandUsageOptions
			for name := range strings.SplitSeq(list, ",") {
				expand = append(expand, usage.ExpandUsageOptions(name))
			}
			r = r.Expand(expand)
		}
		return one(r.Execute())
	case "get_tests_units_usage":
		r := api.GetTestsUnitsUsage()
		if aid, ok := c.Arguments["aid"]; ok {
			r = r.Aid(aid)
		}
		if start, ok := c.Arguments["start_date"]; ok {
			r = r.StartDate(date(start))
		}
		if end, ok := c.Arguments["end_date"]; ok {
			r = r.EndDate(date(end))
		}
		if cursor, ok := c.Arguments["cursor"]; ok {
			r = r.Cursor(cursor)
		}
		switch c.How {
		case "rows":
			return rows(r.All(context.Background()))
		case "pages":
			return pages(r.Paginated())
		}
		return one(r.Execute())
	case "get_enterprise_agents_units_usage":
		r := api.GetEnterpriseAgentsUnitsUsage()
		if start, ok := c.Arguments["start_date"]; ok {
			r = r.StartDate(date(start))
		}
		if end, ok := c.Arguments["end_date"]; ok {
			r = r.EndDate(date(end))
		}
		if cursor, ok := c.Arguments["cursor"]; ok {
			r = r.Cursor(cursor)
		}
		switch c.How {
		case "rows":
			return rows(r.All(context.Background()))
		case "pages":
			return pages(r.Paginated())
		}
		return one(r.Execute())
	}
	return result{Error: "no such operation"}
}

// date reads a date with or without an offset.
func date(text string) time.Time {
	for _, form := range []string{"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(form, text); err == nil {
			return t
		}
	}
	log.Fatal("not a date: ", text)
	return time.Time{}
}

func one[T any](value *T, response *http.Response, err error) result {
	if err != nil {
		return failure(response, err)
	}
	return result{Value: value}
}

// pager is what Paginated returns, whose package cannot be imported.
type pager[T any] interface {
	HasMorePages() bool
	NextPage(ctx context.Context) (*T, *http.Response, error)
}

func pages[T any](p pager[T]) result {
	var all []*T
	for p.HasMorePages() {
		page, response, err := p.NextPage(context.Background())
		if err != nil {
			return failure(response, err)
		}
		all = append(all, page)
	}
	return result{Value: all}
}

func rows[T any](all iter.Seq2[T, error]) result {
	list := []T{}
	for row, err := range all {
		if err != nil {
			return failure(nil, err)
		}
		list = append(list, row)
	}
	return result{Value: list}
}

// failure has the body and the model of an error, whose type cannot be imported.
func failure(response *http.Response, err error) result {
	r := result{Error: fmt.Sprintf("%T", err)}
	if _, ok := err.(*url.Error); ok || response == nil {
		r.Error = err.Error()
	}
	if response != nil {
		r.Status = response.StatusCode
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if body := v.Elem().FieldByName("Body"); body.IsValid() && body.Kind() == reflect.Slice {
			r.Body = string(body.Bytes())
		}
		if model := v.Elem().FieldByName("Model"); model.IsValid() && !model.IsNil() {
			r.Data = model.Interface()
		}
	}
	return r
}
