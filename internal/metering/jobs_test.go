package metering

import (
	"context"
	"testing"

	"odometer/internal/background/backgroundtest"
	"odometer/internal/catalog"
)

// Closing the service ends the closings of all customers that are under way.
func TestJobsOfAService(t *testing.T) {
	t.Parallel()
	inside := make(chan struct{})
	w := closingWorld(t, 3, func(ctx context.Context, c Closing) error {
		if c.Customer == "c0001" {
			close(inside)
			<-ctx.Done()
		}
		return nil
	})
	backgroundtest.Opened(t, map[string]func(t *testing.T) func(){
		"closing": func(t *testing.T) func() {
			for _, month := range []string{"2026-01", "2026-02"} {
				if _, err := w.CloseMonth(context.Background(), admin, month); err != nil {
					t.Fatal(err)
				}
			}
			<-inside
			return func() {
				w.Close()
				job, err := w.CloseJob(context.Background(), admin, "1")
				if err != nil || job.Status() != catalog.CloseJobRunning {
					t.Errorf("%+v, %v", job, err)
				}
			}
		},
	})
}
