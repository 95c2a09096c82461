package catalog

import (
	"embed"
	"odometer/internal/catalog/sqlfile"
)

//go:embed sql/keys/*.sql
var stmtKeyFiles embed.FS

var stmtKeys = sqlfile.Load[keyStatements](stmtKeyFiles, "sql/keys")

type keyStatements struct {
	// keys.sql
	KeyCount, KeyCreate, KeyGet, KeyList, KeyLive, KeyOthers, KeyRevoke, KeySources, KeyUsed string
}
