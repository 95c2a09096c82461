package wire

import (
	"strings"

	"odometer/internal/csvtext"
)

// CSVType is the content type of a CSV answer.
const CSVType = "text/csv; charset=utf-8"

// CSVRow is one line of a CSV answer.
type CSVRow struct {
	CustomerID, ProductID, UsageType, Unit, ServiceID, ServiceName string
	Window                                                         Window
	UsageUnits                                                     Number
}

// AppendCSVHeader appends the line that names the columns.
func AppendCSVHeader(dst []byte) []byte {
	return append(dst, "customer_id,product_id,usage_type,unit,service_id,service_name,start_time,end_time,usage_units\r\n"...)
}

// Append appends the row as RFC 4180 has it. Texts that a spreadsheet would
// take for a formula are made plain by an apostrophe before them.
func (r CSVRow) Append(dst []byte) []byte {
	for _, text := range []string{r.CustomerID, r.ProductID, r.UsageType, r.Unit, r.ServiceID, r.ServiceName} {
		dst = append(appendCell(dst, text), ',')
	}
	dst = append(append(dst, r.Window.Start()...), ',')
	dst = append(append(dst, r.Window.End()...), ',')
	dst = append(dst, r.UsageUnits.String()...)
	return append(dst, '\r', '\n')
}

// appendCell appends a text of a user's.
func appendCell(dst []byte, text string) []byte {
	text = csvtext.Cell(text)
	if !strings.ContainsAny(text, ",\"\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(text, `"`, `""`)...)
	return append(dst, '"')
}
