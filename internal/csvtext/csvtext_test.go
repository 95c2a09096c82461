package csvtext

import "testing"

func TestCell(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "a": "a", "=1+1": "'=1+1", "+a": "'+a", "-a": "'-a", "@a": "'@a", "\ta": "'\ta", "\ra": "'\ra", "a=": "a=", "'=a": "'=a", "1": "1", "ä": "ä"} {
		if got := Cell(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	list := []string{"=a", "b"}
	if got := Cells(list); got[0] != "'=a" || got[1] != "b" || list[0] != "=a" {
		t.Errorf("%q of %q", got, list)
	}
}
