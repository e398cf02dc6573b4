package plan

import "fmt"

// A Verdict says what a difference between two copies of a document means for the
// member that compares.
type Verdict uint8

// The verdicts.
const (
	Same Verdict = iota + 1
	// Lag: a side has not applied all that the copies differ in. The log brings it.
	Lag
	// Missing: the copy here lacks changes that it should have. It is pulled.
	Missing
	// Divergence: neither copy comes out of the other. The members vote.
	Divergence
	// Corruption: the copy here fails its own check. It is pulled.
	Corruption
	// Theirs: the other member is at fault, and finds that itself.
	Theirs
	// Gone: the document was deleted, and that may be forgotten. It is dropped here.
	Gone
)

var verdictNames = [...]string{
	Same: "same", Lag: "lag", Missing: "missing", Divergence: "divergence",
	Corruption: "corruption", Theirs: "theirs", Gone: "gone",
}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) && verdictNames[v] != "" {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// ParseVerdict reads what [Verdict.String] prints.
func ParseVerdict(s string) (Verdict, error) {
	for v := Same; v <= Gone; v++ {
		if s == verdictNames[v] {
			return v, nil
		}
	}
	return 0, fmt.Errorf("verdict %q: want one of %v", s, verdictNames[Same:])
}

// A Finding is a document of which two members say different things.
type Finding struct {
	Verdict      Verdict
	Mine, Theirs Doc    // with the same Key
	Rule         string // what the verdict rests on, in a sentence
}
