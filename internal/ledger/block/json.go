package block

import (
	"slices"
	"strings"

	"odometer/internal/meter"
)

// ExtensionsJSON appends a row's extension attributes to dst as one JSON object,
// keys in order; nothing if it has none.
func (r *Rows) ExtensionsJSON(row int, dst []byte) []byte {
	var columns []*Column
	for i := range r.Columns {
		if c := &r.Columns[i]; meter.IsExtension(c.Path) {
			if kind, _ := c.Find(row); kind != meter.Absent {
				columns = append(columns, c)
			}
		}
	}
	if len(columns) == 0 {
		return dst
	}
	slices.SortFunc(columns, func(a, b *Column) int { return strings.Compare(a.Path, b.Path) })
	for i, c := range columns {
		dst = append(dst, "{,"[min(i, 1)])
		dst = append(AppendJSONString(dst, []byte(c.Path[len(meter.ExtensionPrefix):])), ':')
		dst = c.appendJSON(dst, row)
	}
	return append(dst, '}')
}

// DataJSON appends a row's data to dst as one JSON object: keys in order,
// numbers as their shortest exact text, nested objects rebuilt.
func (r *Rows) DataJSON(row int, dst []byte) []byte {
	var columns []*Column
	for i := range r.Columns {
		if meter.IsExtension(r.Columns[i].Path) {
			continue
		}
		if kind, _ := r.Columns[i].Find(row); kind != meter.Absent {
			columns = append(columns, &r.Columns[i])
		}
	}
	// Members of one object are neighbours in this order.
	slices.SortFunc(columns, func(a, b *Column) int { return comparePaths(a.Path, b.Path) })
	dst = append(dst, '{')
	var open []string // keys of the nested objects that are open
	for i, c := range columns {
		keys := strings.Split(c.Path, meter.PathSeparator)
		outer, last := keys[:len(keys)-1], keys[len(keys)-1]
		shared := 0
		for shared < len(open) && shared < len(outer) && open[shared] == outer[shared] {
			shared++
		}
		for range len(open) - shared {
			dst = append(dst, '}')
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		for _, key := range outer[shared:] {
			dst = append(AppendJSONString(dst, []byte(key)), ':', '{')
		}
		open = outer
		dst = append(AppendJSONString(dst, []byte(last)), ':')
		dst = c.appendJSON(dst, row)
	}
	for range open {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func (c *Column) appendJSON(dst []byte, row int) []byte {
	switch kind, code := c.Find(row); kind {
	case meter.String:
		return AppendJSONString(dst, c.Strs.At(int(code)))
	case meter.JSON:
		return append(dst, c.Strs.At(int(code))...)
	case meter.Number:
		return c.Nums[code].AppendText(dst)
	case meter.Excess:
		return append(dst, meter.Value{Kind: kind, Str: string(c.Strs.At(int(code)))}.Group()...)
	case meter.True, meter.False:
		return append(dst, meter.BoolValue(kind == meter.True).Group()...)
	default:
		return append(dst, "null"...)
	}
}

// comparePaths orders attribute paths key by key, so that the paths below one
// object are neighbours.
func comparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		switch {
		case a[i] == meter.PathSeparator[0]:
			return -1
		case b[i] == meter.PathSeparator[0]:
			return 1
		case a[i] < b[i]:
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}

// AppendJSONString appends text as a JSON string, escaping only what must be:
// this is the canonical form of strings inside stored JSON.
func AppendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, text[start:]...), '"')
}
