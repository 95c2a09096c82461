package suger

import (
	"odometer/internal/billing"
	"odometer/internal/httpserver"
	"odometer/internal/records"
	"odometer/internal/surface/suger/wire"
)

// aggregateGroups is operation aggregateUsageRecordGroups.
func (a api) aggregateGroups(x *httpserver.Exchange) error {
	q, err := wire.ParseAggregateQuery(x.Request.URL.Query(), a.Clock())
	if err != nil {
		return err
	}
	f := billing.RecordGroupFilter{From: q.From, To: q.To, Partner: q.Partner}
	sums, err := a.Records.SumRecordGroups(x.Request.Context(), x.Principal, f, q.Period)
	return answerSums(x, q, sums, err)
}

// aggregateReports is operation aggregateUsageRecordReports.
func (a api) aggregateReports(x *httpserver.Exchange) error {
	q, err := wire.ParseAggregateQuery(x.Request.URL.Query(), a.Clock())
	if err != nil {
		return err
	}
	f := billing.ReportFilter{From: q.From, To: q.To, Partner: q.Partner}
	sums, err := a.Records.SumUsageReports(x.Request.Context(), x.Principal, f, q.Period)
	return answerSums(x, q, sums, err)
}

func answerSums(x *httpserver.Exchange, q wire.AggregateQuery, sums []records.DimensionSum, err error) error {
	if err != nil {
		return err
	}
	out := make([]wire.Sum, len(sums))
	for i, s := range sums {
		out[i] = wire.Sum{Date: s.Period.Format(q.Layout), Dimension: s.Dimension, Quantity: wire.Number(s.Quantity)}
	}
	encoded, err := wire.EncodeSums(out)
	return answer(x, encoded, err)
}
