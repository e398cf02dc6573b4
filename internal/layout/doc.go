// Package layout says where documents live.
//
// A document's space and key hash to one of [Buckets] buckets, for good. A
// contiguous range of buckets is a partition, a partition is bound to a stripe
// (one replicated log), and a stripe lives on a fixed list of hosts:
//
//	bucket -> partition -> stripe -> hosts
//
// A [Layout] is a value. [Layout.Validate] names every fault in it at once, and
// the look-ups promise answers only on a layout that it accepts. The package does
// no IO and reads no clock.
package layout
