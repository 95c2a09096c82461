package wire

import (
	"net/http"
	"strings"
)

// wantsCSV tells whether the client accepts text/csv rather than JSON, RFC
// 9110 section 12.5.1: with a higher weight, or alone. The most specific range
// that matches a type gives its weight; no Accept header means JSON.
func wantsCSV(h http.Header) bool {
	var csv, json rangeWeight
	for _, v := range h.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			mediaRange, params, _ := strings.Cut(part, ";")
			weight, ok := quality(params)
			if !ok {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(mediaRange)) {
			case "text/csv":
				csv.take(3, weight)
			case "text/*":
				csv.take(2, weight)
			case "application/json":
				json.take(3, weight)
			case "application/*":
				json.take(2, weight)
			case "*/*":
				csv.take(1, weight)
				json.take(1, weight)
			}
		}
	}
	return csv.weight > json.weight
}

// rangeWeight is the weight of a type in thousandths, from the most specific
// range seen so far.
type rangeWeight struct{ specificity, weight int }

func (r *rangeWeight) take(specificity, weight int) {
	if specificity > r.specificity {
		*r = rangeWeight{specificity, weight}
	} else if specificity == r.specificity {
		r.weight = max(r.weight, weight)
	}
}

// quality reads the weight among a media range's parameters in thousandths:
// 1000 without one; false if it is malformed.
func quality(params string) (int, bool) {
	for p := range strings.SplitSeq(params, ";") {
		name, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		whole, fraction, _ := strings.Cut(v, ".")
		if len(fraction) > 3 || strings.Trim(fraction, "0123456789") != "" || whole != "0" && whole != "1" {
			return 0, false
		}
		n := 0
		for _, digit := range (fraction + "000")[:3] {
			n = 10*n + int(digit-'0')
		}
		if whole == "1" {
			return 1000, n == 0
		}
		return n, true
	}
	return 1000, true
}
