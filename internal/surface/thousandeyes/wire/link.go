package wire

import (
	"net/url"
	"strings"
)

// Links are the HAL links of an answer. Paging goes forward only; the last
// page has no Next.
type Links struct {
	Self Link  `json:"self"`
	Next *Link `json:"next,omitempty"`
}

// Link is one HAL link. Clients refuse one without an href.
type Link struct {
	Href string `json:"href"`
}

// Links returns the links of the answer. base is the public address of the
// server, without a slash at its end.
func (r UsageRequest) Links(base string) Links {
	var q query
	q.add("aid", r.AID)
	q.add("expand", strings.Join(r.expandTexts(), ","))
	return Links{Self: q.link(base, PathUsage)}
}

// Links returns the links of a page: to itself, and to the one that starts at
// the position next if that is not nil. Both carry the filters beside the
// cursor, for clients that follow an href as it is.
func (r UnitsRequest) Links(base string, codec *CursorCodec, next *Position) (Links, error) {
	var q query
	q.add("aid", r.AID)
	q.add("startDate", formatDate(r.given.start))
	q.add("endDate", formatDate(r.given.end))
	q.add("window", r.given.window)
	self := q
	self.add("cursor", r.given.cursor)
	links := Links{Self: self.link(base, r.path())}
	if next == nil {
		return links, nil
	}
	cursor, err := codec.encode(r, *next)
	if err != nil {
		return links, err
	}
	q.add("cursor", cursor)
	link := q.link(base, r.path())
	links.Next = &link
	return links, nil
}

// query is a query string in a fixed order, so that links are stable.
type query []byte

func (q *query) add(name, value string) {
	if value == "" {
		return
	}
	if len(*q) > 0 {
		*q = append(*q, '&')
	}
	*q = append(*q, name...)
	*q = append(*q, '=')
	*q = append(*q, url.QueryEscape(value)...)
}

func (q query) link(base, path string) Link {
	if len(q) == 0 {
		return Link{base + path}
	}
	return Link{base + path + "?" + string(q)}
}
