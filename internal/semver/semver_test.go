package semver

import "testing"

func TestSemantic(t *testing.T) {
	for _, c := range [][2]string{
		{"v1.2.3", "1.2.3"},
		{"1.2.3-rc.1+x", "1.2.3-rc.1+x"},
		{"v1.2.3-4-gdeadbee-dirty", "1.2.3-4-gdeadbee-dirty"},
		{"", "0.0.0"},
		{"devel", "0.0.0"},
		{"64d6cf4", "0.0.0"},
		{"v1.2", "0.0.0"},
		{"01.2.3", "0.0.0"},
		{"1.2.3-01", "0.0.0"},
		{"1.2.3-a..b", "0.0.0"},
	} {
		if got := Of(c[0]); got != c[1] {
			t.Errorf("Of(%q) is %q, want %q", c[0], got, c[1])
		}
	}
}
