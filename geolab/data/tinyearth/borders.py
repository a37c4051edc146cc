"""Countries: the side of the road and the writing system (facts), and zones of style (invented)."""

from __future__ import annotations

_LEFT = (
    "AG AI AU BB BD BM BN BS BT BW CC CK CX CY DM FJ FK GB GD GG GS GY HK ID IE IM IN JE JM JP KE "
    "KI KN KY LC LK LS MO MS MT MU MV MW MY MZ NA NF NP NR NU NZ PG PK PN SB SC SG SH SR SZ TC TH "
    "TK TL TO TT TV TZ UG VC VG VI WS ZA ZM ZW"
)
#: Countries and territories that drive on the left (ISO 3166 alpha-2).
LEFT_DRIVING = frozenset(_LEFT.split())
_SCRIPTS = {
    "cyrillic": "RU UA BY BG RS MK KZ KG TJ MN",
    "arabic": "DZ EG SA AE QA BH KW OM YE IQ SY JO LB PS LY TN MA EH SD MR IR AF PK DJ KM",
    "greek": "GR CY",
    "hebrew": "IL",
    "thai": "TH LA",
    "burmese": "MM KH LK",
    "hangul": "KR KP",
    "han": "CN TW HK MO",
    "kana": "JP",
    "devanagari": "IN NP BD BT",
    "georgian": "GE AM",
    "ethiopic": "ET ER",
}
SCRIPT = {code: name for name, codes in _SCRIPTS.items() for code in codes.split()}
_ZONES = {
    "nordic": "IS NO SE FI DK FO GL AX SJ EE LV LT",
    "northwest": "GB IE IM JE GG FR BE NL LU DE CH AT LI",
    "mediterranean": "ES PT IT GR CY MT SM VA MC AD GI HR AL ME IL LB TN",
    "east": "PL CZ SK HU RO BG MD UA BY RU RS BA SI MK XK KZ KG TJ UZ TM MN GE AM AZ",
    "arid": "DZ EG SA AE QA BH KW OM YE IQ SY JO PS LY MA EH SD MR IR AF DJ TR PK",
    "south": "IN BD NP BT LK MV",
    "southeast": "TH LA MM KH VN MY ID PH SG BN TL PG",
    "eastasia": "CN TW HK MO JP KR KP",
    "anglo": "US CA AU NZ",
    "latin": "MX GT BZ SV HN NI CR PA CU DO HT PR JM BS BB TT CO VE GY SR GF EC PE BO BR PY UY AR "
    "CL AG AI AW BL BM BQ CW DM FK GD GP KN KY LC MF MQ MS SX TC VC VG VI",
}
ZONE = {code: name for name, codes in _ZONES.items() for code in codes.split()}  # others: africa
#: photos shared a head, as on a photo-sharing site of the 2010s; rough, by zone, China apart.
_SHARING = {
    "nordic": 2.2, "northwest": 2.6, "mediterranean": 2.2, "east": 0.9, "arid": 0.45,
    "south": 0.3, "southeast": 0.8, "eastasia": 1.5, "anglo": 2.6, "latin": 0.8, "africa": 0.25,
}  # fmt: skip


def sharing(country: str) -> float:
    """How many photos a head a country shares, relative to the world."""
    return 0.3 if country == "CN" else _SHARING[ZONE.get(country, "africa")]
