//go:build !race

package buckets

const raced = false
