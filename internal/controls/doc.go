// Package controls turns protections off, one by one, in builds that drills must find
// fault with: a drill that passes without a protection proves nothing about it. A build
// without tags has all of them.
//
//	go build -tags trireme_unfenced,trireme_unchecked,trireme_unsynced ./cmd/trireme
package controls

// Off names the protections that this build lacks; none in a build for use.
func Off() []string {
	var off []string
	for _, p := range []struct {
		name string
		on   bool
	}{{"fence", Fence}, {"checks", Checks}, {"sync", Sync}} {
		if !p.on {
			off = append(off, p.name)
		}
	}
	return off
}
