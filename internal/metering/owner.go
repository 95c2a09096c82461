package metering

import (
	"context"

	"odometer/internal/meter"
)

// MeterOwner is a room that owns some of the meters: they stand for things of
// its own, as billable metrics do. It is called with the organization's turn to
// change meters, and asks for none.
type MeterOwner interface {
	// CheckMeterPatch says whether a meter is owned, and refuses a change that
	// the readers of what it stands for would not take.
	CheckMeterPatch(ctx context.Context, organization, key string, patch meter.MeterPatch) (owned bool, err error)
	// MeterChanged tells of a change of an owned meter.
	MeterChanged(ctx context.Context, organization, key string)
	// ReleaseMeter gives up an owned meter, which is removed next, or says why it stays.
	ReleaseMeter(ctx context.Context, organization, key string) error
	// OwnedMeters are the keys of all owned meters.
	OwnedMeters(ctx context.Context, organization string) ([]string, error)
}

// UseMeterOwner names the owner. It must be called before requests are served.
func (s *Service) UseMeterOwner(o MeterOwner) { s.owner = o }

// noOwner owns no meter.
type noOwner struct{}

func (noOwner) CheckMeterPatch(context.Context, string, string, meter.MeterPatch) (bool, error) {
	return false, nil
}
func (noOwner) MeterChanged(context.Context, string, string)          {}
func (noOwner) ReleaseMeter(context.Context, string, string) error    { return nil }
func (noOwner) OwnedMeters(context.Context, string) ([]string, error) { return nil, nil }
