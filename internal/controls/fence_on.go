//go:build !trireme_unfenced

package controls

// Fence is that records are appended only where the log ends as their owner believes.
const Fence = true
