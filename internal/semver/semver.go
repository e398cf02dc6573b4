// Package semver makes versions that NATS micro services take.
package semver

import "regexp"

// semver is what the micro library takes, with a v before it or without.
var semver = regexp.MustCompile(`^v?((?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)` +
	`(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?` +
	`(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?)$`)

// Of is the version as micro services tell theirs: without a leading v, and 0.0.0
// for what is no semantic version, such as the hash of a commit.
func Of(version string) string {
	if m := semver.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return "0.0.0"
}
