package main

import (
	"image/color"
	"io"
	"maps"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"trireme/internal/soak"
)

// The picture has graphs in so many columns, each of this size.
const (
	columns = 2
	width   = 16 * vg.Centimeter
	height  = 6 * vg.Centimeter
)

// hostColors can be told apart by people who do not see all colors (Okabe and Ito).
func hostColors() []color.Color {
	return []color.Color{color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255}, color.Black}
}

// draw writes the picture of samples, one at least, in the order of time.
func draw(w io.Writer, samples []soak.Sample) error {
	var rows [][]*plot.Plot
	for i, s := range soak.All() {
		p, err := graph(s, samples)
		if err != nil {
			return err
		}
		if i%columns == 0 {
			rows = append(rows, make([]*plot.Plot, columns))
		}
		rows[len(rows)-1][i%columns] = p
	}
	canvas := vgimg.New(columns*width, vg.Length(len(rows))*height)
	tiles := vgdraw.Tiles{Cols: columns, Rows: len(rows), PadX: vg.Centimeter, PadY: vg.Centimeter / 2, PadTop: vg.Millimeter, PadBottom: vg.Millimeter, PadLeft: vg.Millimeter, PadRight: 3 * vg.Millimeter}
	for i, row := range plot.Align(rows, tiles, vgdraw.New(canvas)) {
		for j, at := range row {
			if rows[i][j] != nil {
				rows[i][j].Draw(at)
			}
		}
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// graph draws one series of all hosts.
func graph(s soak.Series, samples []soak.Sample) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Min = s.Name, "minutes", 0
	if s.Bytes {
		p.Title.Text += ", MiB"
	}
	began := samples[0].At
	lines := map[string]plotter.XYs{}
	most := 1.0
	for i := range samples {
		at := &samples[i]
		v := value(s, at)
		most = max(most, v)
		lines[at.Host] = append(lines[at.Host], plotter.XY{X: at.At.Sub(began).Minutes(), Y: v})
	}
	for _, at := range strikes(samples) {
		x := at.Sub(began).Minutes()
		mark, err := plotter.NewLine(plotter.XYs{{X: x, Y: 0}, {X: x, Y: most}})
		if err != nil {
			return nil, err
		}
		mark.Width, mark.Color = vg.Points(0.4), color.Gray{Y: 205}
		p.Add(mark)
	}
	for i, host := range slices.Sorted(maps.Keys(lines)) {
		line, err := plotter.NewLine(lines[host])
		if err != nil {
			return nil, err
		}
		line.Width, line.Color = vg.Points(0.8), hostColors()[i%len(hostColors())]
		p.Add(line)
		p.Legend.Add(host, line)
	}
	p.Legend.Left, p.Legend.YOffs = true, vg.Millimeter // at the bottom, as levels are seldom near 0
	return p, nil
}

// value is in MiB if it is of bytes.
func value(s soak.Series, at *soak.Sample) float64 {
	v := float64(s.Of(at))
	if s.Bytes {
		v /= 1 << 20
	}
	return v
}

// strikes are when a fault was first seen that was not there in the sample before.
func strikes(samples []soak.Sample) (at []time.Time) {
	before := ""
	for i := range samples {
		if f := samples[i].Fault; f != before && f != "" {
			at = append(at, samples[i].At)
		}
		before = samples[i].Fault
	}
	return at
}
