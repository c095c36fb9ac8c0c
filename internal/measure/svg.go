package measure

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"
)

// The picture: latency over time above, throughput below, and a list of the
// changes. All in pixels.
const (
	picWidth   = 1200
	picLeft    = 70
	picRight   = 20
	picTop     = 60
	latHeight  = 340
	picBetween = 40
	rateHeight = 90
	lineHeight = 18
	// bin is how much time one point of a line stands for.
	bin     = 100 * time.Millisecond
	rateBin = 250 * time.Millisecond
)

// picture maps times and latencies to pixels.
type picture struct {
	b        strings.Builder
	end      time.Duration
	low, top time.Duration // of the latency axis, which is logarithmic
}

// SVG returns a picture of latency and throughput over time, in which the changes
// are shaded and numbered.
func (r Report) SVG() string {
	changes, ops := r.Changes, r.Ops
	p := &picture{end: max(r.End, time.Millisecond), low: 500 * time.Microsecond, top: 10 * time.Millisecond}
	for _, o := range ops {
		for p.top < o.Ret-o.Call {
			p.top *= 10
		}
	}
	height := picTop + latHeight + picBetween + rateHeight + 50 + lineHeight*((len(changes)+1)/2) + 20
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		picWidth, height, picWidth, height)
	fmt.Fprintf(&p.b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", picWidth, height)
	p.text(picLeft, 22, "start", "#111", "Latency of answered requests while the leader changes", ` font-size="16" font-weight="bold"`)
	p.marks(changes)
	p.axes()
	p.latencies(ops)
	p.rates(ops)
	p.list(r)
	p.b.WriteString("</svg>\n")
	return p.b.String()
}

func (p *picture) x(at time.Duration) float64 {
	f := float64(at) / float64(p.end)
	return picLeft + min(max(f, 0), 1)*(picWidth-picLeft-picRight)
}

func (p *picture) y(lat time.Duration) float64 {
	f := math.Log(float64(max(lat, p.low))/float64(p.low)) / math.Log(float64(p.top)/float64(p.low))
	return picTop + latHeight*(1-min(max(f, 0), 1))
}

func (p *picture) text(x, y float64, anchor, fill, s, more string) {
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s"%s>%s</text>`+"\n", x, y, anchor, fill, more, html.EscapeString(s))
}

func (p *picture) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(&p.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, stroke)
}

// color tells changes that must not cost an error from those that may.
func (ch Change) color() string {
	if ch.Strict {
		return "#1f77b4"
	}
	return "#d62728"
}

// marks shades the time that each change took, and numbers it.
func (p *picture) marks(changes []Change) {
	bottom := float64(picTop + latHeight + picBetween + rateHeight)
	for i, ch := range changes {
		x, w := p.x(ch.Begin), max(p.x(ch.End)-p.x(ch.Begin), 1.5)
		fmt.Fprintf(&p.b, `<rect x="%.1f" y="%d" width="%.1f" height="%.1f" fill="%s" fill-opacity="0.25"/>`+"\n", x, picTop, w, bottom-picTop, ch.color())
		fmt.Fprintf(&p.b, `<circle cx="%.1f" cy="%d" r="10" fill="%s"/>`+"\n", x+w/2, picTop-14, ch.color())
		p.text(x+w/2, picTop-10, "middle", "#fff", fmt.Sprint(i+1), ` font-weight="bold" font-size="11"`)
	}
}

func (p *picture) axes() {
	for _, lat := range []time.Duration{
		time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, 100 * time.Second,
	} {
		if lat <= p.top {
			p.line(picLeft, p.y(lat), picWidth-picRight, p.y(lat), "#ddd")
			p.text(picLeft-8, p.y(lat)+4, "end", "#333", lat.String(), "")
		}
	}
	step := time.Second
	for p.end/step > 24 {
		step *= 5
	}
	bottom := float64(picTop + latHeight + picBetween + rateHeight)
	for at := time.Duration(0); at <= p.end; at += step {
		p.line(p.x(at), bottom, p.x(at), bottom+5, "#333")
		p.text(p.x(at), bottom+18, "middle", "#333", at.String(), "")
	}
	p.text((picLeft+picWidth-picRight)/2, bottom+34, "middle", "#333", "time since the start", "")
	p.line(picLeft, picTop, picLeft, picTop+latHeight, "#333")
	p.line(picLeft, picTop+latHeight, picWidth-picRight, picTop+latHeight, "#333")
	p.line(picLeft, bottom-rateHeight, picLeft, bottom, "#333")
	p.line(picLeft, bottom, picWidth-picRight, bottom, "#333")
	vertical := func(y float64, s string) {
		p.text(16, y, "middle", "#333", s, fmt.Sprintf(` transform="rotate(-90 16 %.0f)"`, y))
	}
	vertical(picTop+latHeight/2, "latency (log scale)")
	vertical(bottom-rateHeight/2, "answers / s")
	p.legend()
}

func (p *picture) legend() {
	x := float64(picWidth - picRight - 470)
	for _, e := range []struct{ color, name string }{
		{"#2ca02c", "median"}, {"#ff7f0e", "99th percentile"}, {"#7f7f7f", "slowest"}, {"#d62728", "unknown outcome"}, {"#000", "refused"},
	} {
		fmt.Fprintf(&p.b, `<rect x="%.1f" y="12" width="12" height="12" fill="%s"/>`+"\n", x, e.color)
		p.text(x+16, 22, "start", "#333", e.name, "")
		x += 30 + 7*float64(len(e.name))
	}
}

// latencies draws percentiles of what was answered in each bin, by the time of
// the answer, the slowest of each, and every request without an answer.
func (p *picture) latencies(ops []Op) {
	bins := make([][]time.Duration, int(p.end/bin)+1)
	for _, o := range ops {
		if i := int(o.Ret / bin); o.Outcome == Done && i >= 0 && i < len(bins) {
			bins[i] = append(bins[i], o.Ret-o.Call)
		}
	}
	var mid, high []string
	var low []string
	for i, b := range bins {
		if len(b) == 0 {
			continue
		}
		slices.Sort(b)
		x := p.x(time.Duration(i)*bin + bin/2)
		m := fmt.Sprintf("%.1f,%.1f", x, p.y(Percentile(b, 50)))
		mid, low = append(mid, m), append(low, m)
		high = append(high, fmt.Sprintf("%.1f,%.1f", x, p.y(Percentile(b, 99))))
		fmt.Fprintf(&p.b, `<circle cx="%.1f" cy="%.1f" r="1.6" fill="#7f7f7f"/>`+"\n", x, p.y(b[len(b)-1]))
	}
	slices.Reverse(low)
	fmt.Fprintf(&p.b, `<polygon points="%s %s" fill="#ff7f0e" fill-opacity="0.15"/>`+"\n", strings.Join(high, " "), strings.Join(low, " "))
	fmt.Fprintf(&p.b, `<polyline points="%s" fill="none" stroke="#ff7f0e" stroke-width="1.2"/>`+"\n", strings.Join(high, " "))
	fmt.Fprintf(&p.b, `<polyline points="%s" fill="none" stroke="#2ca02c" stroke-width="1.6"/>`+"\n", strings.Join(mid, " "))
	for _, o := range ops {
		color := "#d62728"
		switch o.Outcome {
		case Done:
			continue
		case Refused:
			color = "#000"
		}
		x, y := p.x(o.Ret), p.y(o.Ret-o.Call)
		fmt.Fprintf(&p.b, `<path d="M%.1f %.1fl6 6m0 -6l-6 6" stroke="%s" stroke-width="1.5"/>`+"\n", x-3, y-3, color)
	}
}

// rates draws how many requests were answered.
func (p *picture) rates(ops []Op) {
	n := make([]int, int(p.end/rateBin)+1)
	for _, o := range ops {
		if i := int(o.Ret / rateBin); o.Outcome == Done && i >= 0 && i < len(n) {
			n[i]++
		}
	}
	top := max(slices.Max(n), 1)
	bottom := float64(picTop + latHeight + picBetween + rateHeight)
	points := []string{fmt.Sprintf("%.1f,%.1f", p.x(0), bottom)}
	for i, c := range n {
		y := bottom - rateHeight*float64(c)/float64(top)
		for _, at := range []time.Duration{time.Duration(i) * rateBin, time.Duration(i+1) * rateBin} {
			points = append(points, fmt.Sprintf("%.1f,%.1f", p.x(at), y))
		}
	}
	points = append(points, fmt.Sprintf("%.1f,%.1f", p.x(p.end), bottom))
	fmt.Fprintf(&p.b, `<polygon points="%s" fill="#2ca02c" fill-opacity="0.35" stroke="#2ca02c"/>`+"\n", strings.Join(points, " "))
	p.text(picLeft-8, bottom-rateHeight+6, "end", "#333", fmt.Sprint(int(float64(top)/rateBin.Seconds())), "")
	p.text(picLeft-8, bottom+4, "end", "#333", "0", "")
}

// list names the changes, in two columns.
func (p *picture) list(r Report) {
	top := float64(picTop + latHeight + picBetween + rateHeight + 60)
	rows := (len(r.Changes) + 1) / 2
	for i, ch := range r.Changes {
		c := r.Costs(i)
		x := picLeft + float64(i/rows)*(picWidth-picLeft-picRight)/2
		s := fmt.Sprintf("%d  %s: no leader for %s, slowest %s", i+1, ch.Name, Short(ch.Leaderless), Short(c.Max))
		if c.Unknown > 0 {
			s += fmt.Sprintf(", %d unknown", c.Unknown)
		}
		if c.Errors > 0 {
			s += fmt.Sprintf(", %d errors", c.Errors)
		}
		p.text(x, top+float64(i%rows)*lineHeight, "start", ch.color(), s, "")
	}
}
