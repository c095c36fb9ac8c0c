package buffer

import "context"

// inquire runs Config.Probe in place of the request that was released as a probe,
// in that request's goroutine. The request was not sent; it goes back to its
// place afterwards, with its old age, and whatever the probe found out is
// known before the next is looked for.
func (l *Lane) inquire(c *call) verdict {
	cfg, w, v := &l.b.cfg, c.w, c.w.v
	now := l.b.now()
	// The wait of this request must end on time, too: then the next probes.
	ctx, cancel := context.WithTimeout(c.ctx, min(cfg.ProbeTimeout, w.arrived+cfg.MaxAge-now))
	returned := false
	defer func() {
		cancel()
		if !returned { // it panicked
			l.giveBack(w)
			l.recycle(c)
		}
	}()
	err := cfg.Probe(ctx, v.lead, v.addr)
	returned = true
	class := Answered
	if err != nil {
		class = l.b.judge(ctx, err)
	}
	var fx effects
	l.lock()
	now = l.b.now()
	switch {
	case l.probe != w || l.mode == Closed:
		// It took too long, or asked an older leader.
	case err == nil:
		l.success(now, &call{w: w, v: v}, &fx)
	case class == Refused:
		l.n.Refused++
		r, _ := refusalIn(err)
		unit := c.req.Unit
		l.refuse(now, c, w, r, &fx)
		c.req.Unit = unit // it was not this request that was refused
	case c.ctx.Err() != nil:
		l.nextProbe = now // its own end says nothing about the leader
	default:
		l.nextProbe = now + l.backoff()
	}
	if l.cur.Term.Less(l.learned.Term) {
		l.evaluate(now, &fx) // the hint was right
	}
	l.news(&fx)
	l.mu.Unlock()
	fx.apply(l)
	return reroute
}
