package meter

import (
	"math"
	"math/big"
)

// PercentileRank returns which of n samples in ascending order is the p-th
// percentile, counted from 1: p*n/100 rounded up. It is 0 only for n = 0.
func PercentileRank(p Decimal, n int) int {
	if n <= 0 {
		return 0
	}
	if p.scale <= MaxFractionDigits && p.int().IsInt64() {
		if per, c := 100*pow10[p.scale], p.int().Int64(); c > 0 && c <= math.MaxInt64/int64(n) {
			return min(int((uint64(c)*uint64(n)+per-1)/per), n)
		}
	}
	product := p.Mul(NewDecimal(int64(n)))
	den := new(big.Int).Mul(big.NewInt(100), powerOfTen(product.scale))
	rank, rest := new(big.Int).QuoRem(product.int(), den, new(big.Int))
	if rest.Sign() > 0 {
		rank.Add(rank, big.NewInt(1))
	}
	if !rank.IsInt64() {
		return n
	}
	return int(min(max(rank.Int64(), 1), int64(n)))
}

// Rate returns sum / seconds with QuotientPlaces decimals, half-even: the last
// step after aggregating and scaling. Seconds must be positive.
func Rate(sum Decimal, seconds int) Decimal { return sum.Quo(NewDecimal(int64(seconds))) }

// Average returns sum / count with QuotientPlaces decimals, half-even. Count
// must be positive.
func Average(sum Sum, count int64) Decimal { return sum.Decimal().Quo(NewDecimal(count)) }
