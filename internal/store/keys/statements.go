package keys

import (
	"embed"
	"odometer/internal/store/sqlfile"
)

//go:embed sql/*.sql
var stmtFiles embed.FS

var stmt = sqlfile.Load[statements](stmtFiles, "sql")

type statements struct {
	// keys.sql
	KeyByClient, KeyByID, KeyClaims, KeyCount, KeyCountAll, KeyCounted, KeyCreate, KeyGet, KeyList, KeyLive, KeyOthers, KeyRevoke, KeySources, KeyUsed string
}
