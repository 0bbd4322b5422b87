package tokenizer
import ("encoding/json";"os";"slices";"testing";"testing/fstest")
func TestBig(t *testing.T) {
	var all pipelines
	b,err:=os.ReadFile("/tmp/orc/big.json"); if err!=nil{t.Fatal(err)}
	unmarshal(t,b,&all)
	raw, _ := os.ReadFile("testdata/" + tokenizerFile)
	for _, p := range all.Pipelines {
			doc := p.Doc
			if doc == nil { doc = patchDocument(t, raw, p.Patch) } else {
				var model string
				json.Unmarshal(doc["model"], &model); doc["model"] = all.Models[model] }
			tok, err := Read(fstest.MapFS{tokenizerFile: {Data: marshal(t, doc)}})
			if err != nil { t.Fatal(p.Name,err) }
			bad:=0; badd:=0
			for _, c := range p.Cases {
				got, err := tok.Encode(c.Text, EncodeOptions{ParseSpecial: true})
				if err!=nil||!slices.Equal(got,c.IDs) { bad++; if bad<=3 {t.Errorf("%s: Encode(%q)\n have %v %v\n want %v", p.Name,c.Text, got, err, c.IDs)} }
				with := c.IDs; if c.With != nil { with = c.With }
				decoded := c.Text; if c.Decoded != nil { decoded = *c.Decoded }
				skipped := decoded; if c.Skipped != nil { skipped = *c.Skipped }
				if tok.Decode(with,false)!=decoded||tok.Decode(with,true)!=skipped {badd++; if badd<3 {t.Errorf("%s decode %q %q",p.Name,c.Text,tok.Decode(with,false))}}
			}
			t.Log(p.Name,len(p.Cases),bad,badd)
	}
}
