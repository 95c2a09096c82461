package edgegrid

import (
	"slices"
	"strings"
)

// What clients sign and what arrives differ in ways that mean the same: a
// client signs the host as its settings spell it, and its HTTP library sends
// it in small letters or without the default port; "/x?" arrives as "/x"; a
// request line may hold the whole URL. So a signature is held against each
// form of host and target that the request could have been signed as. What
// could change who asks for what - the path, the query, the method - is taken
// as it came.

// forms returns the requests that r may have been signed as, r first.
func forms(r Request) []Request {
	targets := targetForms(r.Target)
	hosts := hostForms(r.Scheme, r.Host, r.PublicHost)
	list := make([]Request, 0, len(targets)*len(hosts))
	for _, host := range hosts {
		for _, target := range targets {
			form := r
			form.Host, form.Target = host, target
			list = append(list, form)
		}
	}
	return list
}

// targetForms returns path and query of a request line's target, without and
// with the "?" of an empty query.
func targetForms(target string) []string {
	target = pathAndQuery(target)
	switch at := strings.IndexByte(target, '?'); at {
	case -1:
		return []string{target, target + "?"}
	case len(target) - 1:
		return []string{target, target[:at]}
	}
	return []string{target}
}

// pathAndQuery takes scheme and authority off an absolute-form target
// (RFC 9112 section 3.2.2), which clients send as they do to a proxy.
func pathAndQuery(target string) string {
	if strings.HasPrefix(target, "/") {
		return target
	}
	_, rest, ok := strings.Cut(target, "://")
	if !ok {
		return target
	}
	at := strings.IndexAny(rest, "/?")
	switch {
	case at < 0:
		return "/"
	case rest[at] == '?':
		return "/" + rest[at:]
	}
	return rest[at:]
}

// hostForms returns the spellings of a host, the one that arrived first: its
// letters' case, with and without the scheme's default port, and as the
// server's public address has it.
func hostForms(scheme, host, public string) []string {
	port := ":443"
	if strings.EqualFold(scheme, "http") {
		port = ":80"
	}
	spellings := []string{host}
	bare := strings.TrimSuffix(host, port)
	for _, h := range []string{bare, strings.ToLower(bare), strings.ToUpper(bare)} {
		spellings = append(spellings, h)
		if !hasPort(h) {
			spellings = append(spellings, h+port)
		}
	}
	if public = strings.TrimSuffix(public, port); strings.EqualFold(public, bare) {
		spellings = append(spellings, public, public+port)
	}
	var different []string
	for _, h := range spellings {
		if !slices.Contains(different, h) {
			different = append(different, h)
		}
	}
	return different
}

// hasPort tells whether a host ends in a port; an IPv6 address has its colons in brackets.
func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}
