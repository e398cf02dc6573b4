package ops

import "fmt"

// Bytes writes a size for people, in powers of 1024: "1.5 GiB".
func Bytes[N ~int | ~int64 | ~uint64](n N) string {
	size, unit := float64(n), 0
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	// From 1023.95 on one decimal would say 1024.0.
	for size >= 1023.95 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
