package service

import (
	"strings"

	"trireme/internal/contract"
)

// A way is how a request came here.
type way uint8

const (
	toAny   way = iota // adama.v1.<op>, or adama.v1.any.<host>.<op>: any host may answer
	toHost             // adama.v1.h.<host>.<op>: this host was asked
	toOwner            // adama.v1.p.<PP>.<op>: the owner was asked; never passed on, or two hosts in doubt would pass it on for ever
)

// readSubject tells the operation and how it came.
func readSubject(subject string) (op string, came way) {
	rest := strings.TrimPrefix(subject, contract.SubjectPrefix)
	switch {
	case strings.HasPrefix(rest, "h."):
		came = toHost
	case strings.HasPrefix(rest, "p."):
		came = toOwner
	}
	return rest[strings.LastIndexByte(rest, '.')+1:], came
}
