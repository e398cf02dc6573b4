package controls

import "testing"

func TestABuildForUseHasAllProtections(t *testing.T) {
	if off := Off(); len(off) > 0 {
		t.Errorf("without tags these are off: %v", off)
	}
}
