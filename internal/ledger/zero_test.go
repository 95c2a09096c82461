package ledger

import "testing"

// TestNoDiskFloor: a floor of 0 is none, not the default.
func TestNoDiskFloor(t *testing.T) {
	t.Parallel()
	if got := (Limits{NoDiskFloor: true, AnswerBytes: -1, KeptRejections: -1}).withDefaults(); got.MinFreeDisk != 0 || got.AnswerBytes != -1 || got.KeptRejections != -1 {
		t.Errorf("%+v", got)
	}
	if got := (Limits{}).withDefaults(); got.MinFreeDisk != DefaultLimits().MinFreeDisk {
		t.Errorf("%+v", got)
	}
}
