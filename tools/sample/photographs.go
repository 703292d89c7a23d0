package main

import (
	"fmt"
	"strings"
)

// photograph is a source of crops. The licences are those of debian/copyright of the package.
type photograph struct {
	file    string // below the folder of unpacked packages
	label   string // what the evaluation of the quick start tells apart
	author  string
	licence string
}

// photographs come from Debian's package lomiri-wallpapers (source: gitlab.com/ubports/development/core/lomiri-wallpapers).
var photographs = []photograph{
	{"usr/share/backgrounds/Bridge_by_Sander_Klootwijk.jpg", "bridge", "Sander Klootwijk, 2018", "CC-BY-SA-4.0"},
	{"usr/share/backgrounds/Dragonfly_by_Bolly.jpg", "dragonfly", "Bolly, 2018", "CC-BY-SA-4.0"},
	{"usr/share/backgrounds/Picture_0B_by_freespace.jpg", "fig", `Trevor "Freespace", 2018`, "CC-BY-4.0"},
	{"usr/share/backgrounds/Picture_1A_by_freespace.jpg", "brushes", `Trevor "Freespace", 2018`, "CC-BY-4.0"},
	{"usr/share/backgrounds/Wine_by_Jakkub_Mede.jpg", "room", "Jakub Mede, 2018", "CC-BY-4.0"},
	{"usr/share/backgrounds/aitzgorri_by_Aitzol_Berasategi.jpg", "forest", "Aitzol Berasategi, 2018", "CC-BY-4.0"},
	{"usr/share/backgrounds/free_by_Peter_Nerlich.jpg", "lamp", "Peter Nerlich, 2018", "CC-BY-SA-4.0"},
	{"usr/share/backgrounds/friends_by_Aitzol_Berasategi.jpg", "dogs", "Aitzol Berasategi, 2018", "CC-BY-4.0"},
	{"usr/share/backgrounds/greentock_by_Peter_Nerlich.jpg", "clock", "Peter Nerlich, 2018", "CC-BY-SA-4.0"},
	{"usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg", "stream", "Aitzol Berasategi, 2018", "CC-BY-4.0"},
	{"usr/share/backgrounds/picosdeeuropa_by_Aitzol_Berasategi.jpg", "mountain", "Aitzol Berasategi, 2018", "CC-BY-4.0"},
	{"usr/share/backgrounds/seeding_by_Clements_Engelhardt.jpg", "dandelion", "Clemens Engelhardt, 2018", "CC0-1.0"},
	{"usr/share/backgrounds/sunset_by_Aitzol_Berasategi.jpg", "sunset", "Aitzol Berasategi, 2018", "CC-BY-4.0"},
	{"usr/share/backgrounds/Kleiber_by_Lukas_Baubkus.jpg", "nuthatch", "Lukas Baubkus, 2021", "CC-BY-SA-3.0"},
}

// credits is the file that goes with the crops.
func credits() string {
	var text strings.Builder
	text.WriteString("# Credits\n\nThe pictures are crops, reduced to 64×64 pixels, of these photographs from Debian's package lomiri-wallpapers.\n" +
		"Each crop stays under the licence of its photograph.\n\n| class | photograph | author | licence |\n| --- | --- | --- | --- |\n")
	for _, p := range photographs {
		name := p.file[strings.LastIndex(p.file, "/")+1:]
		fmt.Fprintf(&text, "| %s | %s | %s | [%s](%s) |\n", p.label, name, p.author, p.licence, licenceURL(p.licence))
	}
	return text.String()
}

func licenceURL(licence string) string {
	if licence == "CC0-1.0" {
		return "https://creativecommons.org/publicdomain/zero/1.0/"
	}
	at := strings.LastIndex(licence, "-")
	kind, version := strings.ToLower(strings.TrimPrefix(licence[:at], "CC-")), licence[at+1:]
	return "https://creativecommons.org/licenses/" + kind + "/" + version + "/"
}
