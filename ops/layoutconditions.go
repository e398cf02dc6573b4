package ops

import "fmt"

// layoutDeclarations are the reasons why the layout of the source is not in force.
// The last good copy is, whatever they are.
func layoutDeclarations() []declaration {
	of := func(kind LayoutFaultKind, says, remedy string) declaration {
		return declaration{id: "layout-" + string(kind), severity: Warning, remedy: remedy, find: func(s *Status) []finding {
			return layoutFault(s, kind, says)
		}}
	}
	return []declaration{
		of(LayoutUnreachable, "the layout at %s cannot be read",
			"see that the file is there and readable, or that the server of the URL answers; the host goes on with the last good copy"),
		of(LayoutInvalid, "the layout at %s has faults",
			"correct what is named; `trireme layout validate FILE` tells the same; the host goes on with the last good copy"),
		of(LayoutOlder, "the layout at %s is older than the one in force",
			"put the newer one back; to return to what an older one said, give it a version higher than all before"),
		of(LayoutRefused, "the layout at %s cannot follow the one in force",
			"correct what is named, in a layout with a higher version; `trireme layout diff OLD NEW` tells the same"),
		of(LayoutConflict, "the hosts have agreed on another layout than that at %s",
			"let all hosts read the same layout; give one that shall be in force a version higher than all before"),
	}
}

func layoutFault(s *Status, kind LayoutFaultKind, says string) []finding {
	f := s.LayoutError
	if f == nil || f.Kind != kind {
		return nil
	}
	text := fmt.Sprintf(says, s.LayoutSource)
	if f.Version > 0 {
		text += fmt.Sprintf(" (version %d)", f.Version)
	}
	if f.Text != "" {
		text += ": " + f.Text
	}
	return one(true, "%s; version %d stays in force", text, s.Layout)
}
