package members

import "testing"

// owner is a table of h2, which owns s1 whose preferred owner is h1, after all three
// have reported for some seconds.
func owner(t *testing.T, seconds int64, change func(own, h1, h3 *Report)) (*Table, int64) {
	t.Helper()
	table := New("h2", three(3, 1))
	table.PreferAfter = 10_000
	return table, reports(table, 0, seconds, change)
}

func reports(table *Table, from, seconds int64, change func(own, h1, h3 *Report)) (now int64) {
	for now = from; now <= from+seconds*1000; now += 1000 {
		own, h1, h3 := report("h2", 1, uint64(now), owning("1-10", 10_000, 10_000)), report("h1", 1, uint64(now), Stripe{Applied: 10_000}), report("h3", 1, uint64(now), Stripe{Applied: 10_000})
		if change != nil {
			change(&own, &h1, &h3)
		}
		for _, r := range []Report{own, h1, h3} {
			table.Hear(now, r)
		}
	}
	return now - 1000
}

func wantMove(t *testing.T, table *Table, now int64, want Move) {
	t.Helper()
	m, ok := table.Balance(now)
	if m != want || ok != (want != Move{}) {
		t.Errorf("at %d: %+v, %v; want %+v", now, m, ok, want)
	}
}

func TestBalanceWaitsUntilThePreferredHostIsWell(t *testing.T) {
	table, now := owner(t, 10, nil) // what the first second tells is judged in the next
	wantMove(t, table, now, Move{})
	now = reports(table, now+1000, 0, nil)
	wantMove(t, table, now, Move{"s1", "h1", false})
	for name, change := range map[string]func(own, h1, h3 *Report){
		"dead":           func(_, h1, _ *Report) { h1.Seq, h1.Boot = 0, 0 },
		"draining":       func(_, h1, _ *Report) { h1.Draining = true },
		"closing":        func(_, h1, _ *Report) { h1.Closing = true },
		"another layout": func(_, h1, _ *Report) { h1.Layout.Version = 2 },
		"sick":           func(_, h1, _ *Report) { h1.Stripes["s1"] = Stripe{Applied: 10_000, Sick: "damaged"} },
		"lagging":        func(_, h1, _ *Report) { h1.Stripes["s1"] = Stripe{Applied: 100} },
		"no member yet":  func(_, h1, _ *Report) { h1.Stripes = nil },
	} {
		table, now := owner(t, 20, nil)
		now = reports(table, now, 5, change)
		if m, ok := table.Balance(now); ok {
			t.Errorf("%s: %+v", name, m)
		}
		now = reports(table, now+1000, 9, nil)
		if m, ok := table.Balance(now); ok && name != "dead" { // whose last report had been heard
			t.Errorf("%s a moment ago: %+v", name, m)
		}
		now = reports(table, now, 20, nil)
		wantMove(t, table, now, Move{"s1", "h1", false})
	}
}

// A stripe that was moved by hand stays for as long as a host must be well to get it
// back.
func TestBalanceLeavesAStripeForAWhileWhereItWasMoved(t *testing.T) {
	claim := func(own, _, _ *Report) { own.Stripes["s1"] = owning("1-20", 10_000, 10_000) }
	table, now := owner(t, 60, func(own, h1, _ *Report) {
		own.Stripes["s1"], h1.Stripes["s1"] = Stripe{Applied: 10_000}, owning("1-10", 10_000, 10_000)
	})
	now = reports(table, now+1000, 0, func(own, _, _ *Report) { own.Stripes["s1"] = Stripe{Applied: 10_000} }) // h1 lets go
	now = reports(table, now+1000, 9, claim)
	wantMove(t, table, now, Move{})
	now = reports(table, now+1000, 0, claim)
	wantMove(t, table, now, Move{"s1", "h1", false})
}

func TestMovesRestAndFailuresAreHeldAgainstTheTarget(t *testing.T) {
	table, now := owner(t, 11, nil)
	m, _ := table.Balance(now)
	table.Moved(now, m, true)
	wantMove(t, table, now+moveRest-1, Move{})
	wantMove(t, table, now+moveRest, m)
	now += moveRest
	table.Moved(now, m, false)
	now = reports(table, now+1000, 18, nil)
	wantMove(t, table, now, Move{})
	now = reports(table, now+1000, 0, nil)
	wantMove(t, table, now, m)
}

func TestWhoMustNotOwnGivesAtOnce(t *testing.T) {
	for name, own := range map[string]func(own, h1, h3 *Report){
		"draining": func(own, _, _ *Report) { own.Draining = true },
		"closing":  func(own, _, _ *Report) { own.Closing = true },
		"sick": func(own, _, _ *Report) {
			s := own.Stripes["s1"]
			s.Sick = "damaged"
			own.Stripes["s1"] = s
		},
	} {
		table, now := owner(t, 1, own)
		m, ok := table.Balance(now)
		if want := (Move{"s1", "h1", true}); m != want || !ok {
			t.Errorf("%s: %+v, %v", name, m, ok)
		}
		table.Moved(now, m, false)
		wantMove(t, table, now, Move{"s1", "h3", true}) // the other one has not failed

		table, now = owner(t, 1, func(r, h1, h3 *Report) {
			own(r, h1, h3)
			h1.Stripes["s1"] = Stripe{Applied: 9000}
		})
		wantMove(t, table, now, Move{"s1", "h3", true}) // it lacks less

		table, now = owner(t, 1, func(r, h1, h3 *Report) {
			own(r, h1, h3)
			s := owning("1-10", 1e6, 1e6)
			s.Sick = r.Stripes["s1"].Sick
			r.Stripes["s1"] = s
			h3.Stripes["s1"] = Stripe{Applied: 1e6, Sick: "damaged"}
		})
		want := Move{}
		if name == "closing" {
			want = Move{"s1", "h1", true} // it goes in any case
		}
		wantMove(t, table, now, want)
	}
}

func TestRescue(t *testing.T) {
	// Nobody has ever owned the stripe; this host leads its stream and is sick.
	table := New("h2", three(3, 1))
	if to, ok := table.Rescue(0, "s1"); ok {
		t.Errorf("rescued by %s, who was not heard", to)
	}
	for _, r := range []Report{
		report("h2", 1, 1, Stripe{Applied: 5, Sick: "damaged"}), report("h1", 1, 1, Stripe{Applied: 80}), report("h3", 1, 1, Stripe{Applied: 90}),
	} {
		table.Hear(0, r)
	}
	for _, now := range []int64{0, 1000} {
		if to, _ := table.Rescue(now, "s1"); to != "h3" {
			t.Errorf("at %d rescued by %q, want h3, which has most", now, to)
		}
	}
	if to, _ := table.Rescue(3000, "s1"); to != "h1" {
		t.Errorf("rescued by %q, although h3 had its chance", to)
	}
	table.Hear(3100, report("h1", 1, 2, owning("1-91", 91, 91)))
	if to, _ := table.Rescue(5500, "s1"); to != "h1" {
		t.Errorf("rescued by %q, although h1 serves", to)
	}
}
