package meter

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of a meter's definition.
const (
	maxKeyBytes         = 64
	maxNameBytes        = 256 // also of an event type and an attribute name
	maxDescriptionBytes = 1024
	maxUnitBytes        = 64
	MaxGroupBy          = 8
	MaxGroupBytes       = 512 // of a group's text and of a distinct value; events with longer ones are skipped
	maxFilterGroups     = 16
	maxFiltersInGroup   = 64
	maxFilterValueBytes = 256
	minSample           = Duration(time.Minute)
	maxSample           = Duration(24 * time.Hour)
)

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// validateKey checks the key of a meter. Errors are of KindInvalid.
func validateKey(key string) error {
	if !keyPattern.MatchString(key) {
		return Errorf(KindInvalid, "key %q: want 1 to %d letters, digits, '_', '.' or '-', the first a letter or digit", clip(key), maxKeyBytes)
	}
	return nil
}

// Validate reports the first thing wrong with m. Errors are of KindInvalid and
// name the field, the value and the limit. Parts that Normalize fills in may be
// left out.
func (m Meter) Validate() error {
	if err := validateKey(m.Key); err != nil {
		return err
	}
	if err := m.validateTexts(); err != nil {
		return err
	}
	if !slices.Contains(aggregations, m.Aggregation) {
		return Errorf(KindInvalid, "aggregation %q: want one of %s", clip(string(m.Aggregation)), list(aggregations))
	}
	if err := m.validateValue(); err != nil {
		return err
	}
	if err := m.validateExcess(); err != nil {
		return err
	}
	if err := m.validateSampling(); err != nil {
		return err
	}
	if err := m.validateGroupBy(); err != nil {
		return err
	}
	return m.validateFilters()
}

func (m Meter) validateTexts() error {
	if m.EventType == "" {
		return Errorf(KindInvalid, "event_type is required")
	}
	for _, t := range [...]struct {
		field, text string
		limit       int
	}{
		{"event_type", m.EventType, maxNameBytes},
		{"name", m.Name, maxNameBytes},
		{"description", m.Description, maxDescriptionBytes},
		{"unit", m.Unit, maxUnitBytes},
	} {
		if err := validateText(t.field, t.text, t.limit); err != nil {
			return err
		}
	}
	if m.Status != "" && m.Status != StatusActive && m.Status != StatusDeleted {
		return Errorf(KindInvalid, "status %q: want %s or %s", clip(m.Status), StatusActive, StatusDeleted)
	}
	return nil
}

func (m Meter) validateValue() error {
	if m.Aggregation == AggCount {
		if m.Value != "" {
			return Errorf(KindInvalid, "value %q: COUNT counts events and takes no value", clip(m.Value))
		}
		return nil
	}
	if m.Value == "" {
		return Errorf(KindInvalid, "value is required: the attribute that %s aggregates", m.Aggregation)
	}
	return validateAttribute("value", m.Value)
}

func (m Meter) validateExcess() error {
	switch m.Excess {
	case "", ExcessSkip:
		return nil
	case ExcessRound:
		if m.Aggregation == AggCount || m.Aggregation == AggUniqueCount {
			return Errorf(KindInvalid, "excess %q: %s takes no number", m.Excess, m.Aggregation)
		}
		return nil
	default:
		return Errorf(KindInvalid, "excess %q: want %s or %s", clip(string(m.Excess)), ExcessSkip, ExcessRound)
	}
}

func (m Meter) validateSampling() error {
	if m.Percentile != "" {
		if m.Aggregation != AggPercentile {
			return Errorf(KindInvalid, "percentile %q: only PERCENTILE takes one, not %s", clip(string(m.Percentile)), m.Aggregation)
		}
		p, err := ParseDecimal(string(m.Percentile))
		if err != nil || p.Sign() <= 0 || p.Cmp(NewDecimal(100)) > 0 || p.scale > MaxFractionDigits {
			return Errorf(KindInvalid, "percentile %q: want a number above 0 and at most 100 with at most %d decimals", clip(string(m.Percentile)), MaxFractionDigits)
		}
	}
	if m.Rate && !m.Sampled() {
		return Errorf(KindInvalid, "rate: only PERCENTILE and PEAK take it, not %s", m.Aggregation)
	}
	if m.Sample == 0 {
		return nil
	}
	if !m.Sampled() {
		return Errorf(KindInvalid, "sample %q: only PERCENTILE and PEAK take one, not %s", m.Sample, m.Aggregation)
	}
	if m.Sample < minSample || m.Sample > maxSample || m.Sample%Duration(time.Minute) != 0 || maxSample%m.Sample != 0 {
		return Errorf(KindInvalid, "sample %q: want whole minutes from %s to %s that divide a day evenly", m.Sample, minSample, maxSample)
	}
	return nil
}

func (m Meter) validateGroupBy() error {
	if len(m.GroupBy) > MaxGroupBy {
		return Errorf(KindInvalid, "group_by has %d attributes, more than %d", len(m.GroupBy), MaxGroupBy)
	}
	for i, name := range m.GroupBy {
		if err := validateAttribute("group_by", name); err != nil {
			return err
		}
		if slices.Contains(m.GroupBy[:i], name) {
			return Errorf(KindInvalid, "group_by names %q twice", clip(name))
		}
	}
	return nil
}

func (m Meter) validateFilters() error {
	if len(m.Filters) > maxFilterGroups {
		return Errorf(KindInvalid, "filters has %d groups, more than %d", len(m.Filters), maxFilterGroups)
	}
	for i, group := range m.Filters {
		if len(group) == 0 || len(group) > maxFiltersInGroup {
			return Errorf(KindInvalid, "filters[%d] has %d alternatives: want 1 to %d", i, len(group), maxFiltersInGroup)
		}
		for j, f := range group {
			if err := f.Validate(); err != nil {
				return inFilter(i, j, err)
			}
		}
	}
	return nil
}

// inFilter says which filter of a meter an error is about.
func inFilter(group, alternative int, err error) error {
	return Errorf(KindOf(err), "filters[%d][%d]: %s", group, alternative, err)
}

// Validate reports the first thing wrong with f. Errors are of KindInvalid.
func (f Filter) Validate() error {
	if err := validateAttribute("attribute", f.Attribute); err != nil {
		return err
	}
	if !slices.Contains(ops, f.Op) {
		return Errorf(KindInvalid, "op %q: want one of %s", clip(string(f.Op)), list(ops))
	}
	if f.Op == OpExists || f.Op == OpNotExists {
		if f.Value.Kind > Null {
			return Errorf(KindInvalid, "value: %s takes none", f.Op)
		}
		return nil
	}
	if !f.Value.scalar() {
		return Errorf(KindInvalid, "value: %s needs a string, a number or a boolean", f.Op)
	}
	if err := validateText("value", f.Value.Str, maxFilterValueBytes); err != nil {
		return err
	}
	switch f.Op {
	case OpGT, OpGTE, OpLT, OpLTE:
		if !f.Value.isNumber() {
			return Errorf(KindInvalid, "value %q: %s needs a number", clip(f.Value.Group()), f.Op)
		}
	case OpContains, OpNotContains:
		if f.Value.Group() == "" {
			return Errorf(KindInvalid, "value \"\": %s needs a text", f.Op)
		}
	}
	return nil
}

// validateAttribute checks the name of an attribute.
func validateAttribute(field, name string) error {
	if name == "" {
		return Errorf(KindInvalid, "%s: an attribute's name must not be empty", field)
	}
	return validateText(field, name, maxNameBytes)
}

// validateText checks a text of at most limit bytes.
func validateText(field, text string, limit int) error {
	switch {
	case len(text) > limit:
		return Errorf(KindInvalid, "%s %q has %d bytes, more than %d", field, clip(text), len(text), limit)
	case !utf8.ValidString(text):
		return Errorf(KindInvalid, "%s %q is not valid UTF-8", field, clip(text))
	case strings.ContainsFunc(text, unicode.IsControl):
		return Errorf(KindInvalid, "%s %q holds a control character", field, clip(text))
	}
	return nil
}

// list joins names for a message.
func list[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}
