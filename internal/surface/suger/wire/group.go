package wire

import (
	"encoding/json"
	"strings"

	"odometer/internal/meter"
)

// maxGroups bounds the groups of one request.
const maxGroups = 1000

// Record is usage of a billable metric (MeteringUsageRecord).
type Record struct {
	Key        string          `json:"key"`
	Properties json.RawMessage `json:"properties,omitempty"` // an object
	Quantity   *Number         `json:"quantity,omitempty"`
}

// NewGroup is usage to report: NewUsageRecordGroup, and with ID and
// Organization CreateUsageRecordGroupParams. metaInfo is read-only there and
// ignored.
type NewGroup struct {
	ID           string   `json:"id" strict:"given"`
	Organization string   `json:"organizationID"`
	Entitlement  string   `json:"entitlementID"`
	Buyer        string   `json:"buyerID"`   // this and the next two are the entitlement's;
	Partner      string   `json:"partner"`   // who names another one means another
	Product      string   `json:"productID"` // entitlement
	Records      Numbers  `json:"records"`
	Billable     []Record `json:"-"`
	Timestamp    *Time    `json:"timestamp"`

	Allocations json.RawMessage `json:"usageAllocations"` // refused, see check
	Meta        json.RawMessage `json:"metaInfo"`         // ignored, but for allocations in it
	Sent        []sentRecord    `json:"billableRecords"`  // what Billable is read from
}

// sentRecord is a Record before it is looked at.
type sentRecord struct {
	Key        string          `json:"key"`
	Properties json.RawMessage `json:"properties"`
	Quantity   json.RawMessage `json:"quantity"`
}

// record is the record, or what is wrong with it.
func (s sentRecord) record() (Record, error) {
	r := Record{Key: s.Key}
	if s.Key == "" {
		return r, meter.Errorf(meter.KindInvalid, "key is required")
	}
	if given(s.Properties) {
		if s.Properties[0] != '{' {
			return r, meter.Errorf(meter.KindInvalid, "properties is not an object")
		}
		r.Properties = s.Properties
	}
	if given(s.Quantity) {
		r.Quantity = new(Number)
		if err := r.Quantity.UnmarshalJSON(s.Quantity); err != nil {
			return r, meter.Errorf(meter.KindInvalid, "quantity: %s", err)
		}
	}
	return r, nil
}

// given says whether a field is there and not null.
func given(text json.RawMessage) bool { return len(text) > 0 && string(text) != "null" }

// someGiven says whether a field is there and not an empty object or array: the
// Python client sends those for what its user leaves out.
func someGiven(text json.RawMessage) bool {
	bare := strings.Join(strings.Fields(string(text)), "")
	return given(text) && bare != "{}" && bare != "[]"
}

// check judges the shape of a group.
func (g *NewGroup) check() error {
	if g.Entitlement == "" {
		return meter.Errorf(meter.KindInvalid, "entitlementID is required")
	}
	var meta struct {
		Allocations json.RawMessage `json:"usageAllocations"`
	}
	_ = json.Unmarshal(g.Meta, &meta) // whatever else it is
	if someGiven(g.Allocations) || someGiven(meta.Allocations) {
		return meter.Errorf(meter.KindInvalid, "usageAllocations are not carried to AWS Marketplace: report the quantity without them, or each tag as a dimension")
	}
	g.Allocations, g.Meta = nil, nil
	for i, sent := range g.Sent {
		r, err := sent.record()
		if err != nil {
			return meter.Errorf(meter.KindInvalid, "billableRecords %d: %s", i, err)
		}
		g.Billable = append(g.Billable, r)
	}
	g.Sent = nil
	return nil
}

// ParseGroup reads the body of reportUsageRecordGroup, which names the
// organization and entitlement of the path again.
func ParseGroup(body []byte, organization, entitlement string) (NewGroup, error) {
	var g *NewGroup
	if err := decode(body, &g); err != nil {
		return NewGroup{}, err
	}
	if g == nil {
		return NewGroup{}, meter.Errorf(meter.KindInvalid, "the body: want an object")
	}
	if g.Organization != organization {
		return NewGroup{}, meter.Errorf(meter.KindInvalid, "organizationID is %q, the path names %q", clip(g.Organization), clip(organization))
	}
	if g.Entitlement != entitlement {
		return NewGroup{}, meter.Errorf(meter.KindInvalid, "entitlementID is %q, the path names %q", clip(g.Entitlement), clip(entitlement))
	}
	return *g, g.check()
}

// ParseGroups reads the body of the batch operations. The vendor's groups have
// neither id nor organization there; those that are sent count as in
// reportUsageRecordGroup.
func ParseGroups(body []byte, organization string) ([]NewGroup, error) {
	var raw []json.RawMessage
	if err := decode(body, &raw); err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, meter.Errorf(meter.KindInvalid, "the body: want an array of 1 to %d usage record groups", maxGroups)
	}
	if len(raw) > maxGroups {
		return nil, meter.Errorf(meter.KindTooLarge, "%d usage record groups in one request (limit %d)", len(raw), maxGroups)
	}
	groups := make([]NewGroup, len(raw))
	for i, text := range raw {
		if text[0] != '{' {
			return nil, meter.Errorf(meter.KindInvalid, "usage record group %d: want an object", i)
		}
		err := decode(text, &groups[i])
		if named := groups[i].Organization; err == nil && named != "" && named != organization {
			err = meter.Errorf(meter.KindInvalid, "organizationID is %q, the path names %q", clip(named), clip(organization))
		}
		if err == nil {
			err = groups[i].check()
		}
		if err != nil {
			return nil, meter.Errorf(meter.KindOf(err), "usage record group %d: %s", i, err)
		}
	}
	return groups, nil
}

// Group is a usage record group (MeteringUsageRecordGroup).
type Group struct {
	ID           string    `json:"id"`
	Serial       int32     `json:"serialID,omitempty"` // not told to a bound key: it counts all customers' groups
	Organization string    `json:"organizationID"`
	Entitlement  string    `json:"entitlementID"`
	Buyer        string    `json:"buyerID"`
	Partner      string    `json:"partner,omitempty"` // AWS, AZURE or GCP; any other is left out
	Status       string    `json:"status"`
	Records      Numbers   `json:"records,omitempty"`
	MetaInfo     GroupMeta `json:"metaInfo"`
	Created      *Time     `json:"creationTime,omitempty"`
	Updated      *Time     `json:"lastUpdateTime,omitempty"`
	Reported     *Time     `json:"reportedTime,omitempty"`
	Report       string    `json:"usageRecordReportID,omitempty"`
	Message      string    `json:"message,omitempty"` // ours: why it is INVALID or REPORT_FAILED
}

// GroupMeta is what was reported (MeteringUsageRecordGroupMetaInfo).
type GroupMeta struct {
	Billable  []Record `json:"billableRecords,omitempty"`
	Origin    Numbers  `json:"originRecords,omitempty"`
	Source    string   `json:"source,omitempty"`
	Timestamp *Time    `json:"timestamp,omitempty"`
}

// Encode renders the meta info, as a list's filter looks at it.
func (m GroupMeta) Encode() ([]byte, error) { return encode(m) }

// Encode renders the group.
func (g Group) Encode() ([]byte, error) { return encode(g) }

// EncodeGroups renders the answer to a batch, an array.
func EncodeGroups(groups []Group) ([]byte, error) {
	if groups == nil {
		groups = []Group{}
	}
	return encode(groups)
}

// EncodeGroupList renders ListUsageRecordGroupsResponse. next is the offset of
// the next page, 0 on the last one.
func EncodeGroupList(groups []Group, next int32) ([]byte, error) {
	if groups == nil {
		groups = []Group{}
	}
	return encode(struct {
		Groups []Group `json:"usageRecordGroups"`
		Next   int32   `json:"nextOffset,omitempty"`
	}{groups, next})
}

// MarketplacePartner is the partner of a group, "" if the vendor's clients do
// not take it there.
func MarketplacePartner(partner string) string {
	for _, p := range groupPartners {
		if p == partner {
			return p
		}
	}
	return ""
}
