package main

import (
	"context"
	"fmt"
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

// showProgress shows bytes written: as a bar on a terminal, else a line for each
// tenth. progress is called by one goroutine at a time; end comes after it.
func showProgress(ctx context.Context, w io.Writer) (progress func(done, total int64), end func(whole bool)) {
	if screen.IsTerminal(w) {
		return bar(ctx, w)
	}
	tenth := int64(0)
	return func(done, total int64) {
		if total > 0 && 10*done/total > tenth {
			tenth = 10 * done / total
			fmt.Fprintf(w, "%d %% of %s\n", 10*tenth, screen.Bytes(total))
		}
	}, func(bool) {}
}

// bar is a progress bar, which begins with the first report.
func bar(ctx context.Context, w io.Writer) (progress func(done, total int64), end func(whole bool)) {
	p := mpb.NewWithContext(ctx, mpb.WithOutput(w), mpb.WithWidth(64))
	var b *mpb.Bar
	return func(done, total int64) {
			if b == nil {
				b = p.AddBar(total,
					mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f")),
					mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .0f"), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))
			}
			b.SetCurrent(done)
		}, func(whole bool) {
			if b != nil && !whole {
				b.Abort(true)
			}
			p.Wait()
		}
}
