//! What the columns of a roster hold, by their headings as people write them.

use csv::StringRecord;

use super::{RosterConsent, RosterRow, invalid};
use crate::{
    domain::people::words::{bare, words},
    error::Result,
};

/// The most columns.
pub(super) const MAX_COLUMNS: usize = 256;
/// Between the groups in their field.
const GROUP_SEPARATORS: [char; 2] = [';', '|'];

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Id,
    Name,
    GivenName,
    FamilyName,
    Email,
    Groups,
    OnRosterSince,
    ConsentGivenBy,
    ConsentAt,
    ConsentBasis,
    ConsentExpiresAt,
    ConsentNote,
    /// A family name beside a given name, else the name.
    FamilyNameOrName,
    /// A given name beside a family name, else the name.
    GivenNameOrName,
}

/// What headings stand for, [bare](bare): in English, German, French, Spanish, Italian, Portuguese and Dutch. Of two
/// columns for one thing the one whose heading comes first here is taken, and the other is metadata.
const HEADINGS: [(Known, &str); 14] = [
    (
        Known::Id,
        "id personid studentid studentnumber studentno pupilid pupilnumber learnerid schoolid userid \
         externalid sourcedid registrationnumber admissionnumber rollnumber rollno \
         matriculationnumber schulernummer schuelernummer schulernr schuelernr schulerid schuelerid \
         personennummer personennr personalnummer matrikelnummer matrikelnr kennung ausweisnummer \
         identifiant numeroetudiant netudiant numerodeleve neleve ndeleve ine matricule identificador \
         matricula numerodematricula numerodeestudiante numerodealumno expediente matricola \
         numerodimatricola numeromatricola identificativo idstudente idalunno numerodoaluno \
         leerlingnummer studentnummer stamnummer",
    ),
    (
        Known::Name,
        "name fullname studentname pupilname displayname vollername vollstandigername \
         vollstaendigername namedesschulers schulername nomcomplet nometprenom nomprenom prenometnom \
         prenomnom nombrecompleto nombreyapellidos apellidosynombre apellidosynombres \
         nombresyapellidos nomecompleto nomeecognome nomecognome cognomeenome cognomenome nominativo \
         volledigenaam naam",
    ),
    (
        Known::GivenName,
        "givenname firstname forename givennames firstnames forenames preferredname vorname vornamen \
         rufname prenom prenoms nombredepila nombres nomedibattesimo primeironome voornaam roepnaam",
    ),
    (
        Known::FamilyName,
        "familyname lastname surname nachname familienname zuname nomdefamille apellido \
         apellidos cognome cognomi sobrenome apelido achternaam",
    ),
    (
        Known::Email,
        "email emailaddress mail mailaddress emailadresse mailadresse courriel adressemail \
         adresseemail adresseelectronique mel correo correoelectronico direcciondecorreo \
         indirizzoemail indirizzomail postaelettronica enderecodeemail emailadres mailadres",
    ),
    (
        Known::Groups,
        "groups group classes class gruppen gruppe klasse klassen groupe groupes classe grupo grupos \
         clase clases gruppo gruppi classi turma turmas groep groepen klas",
    ),
    (
        Known::OnRosterSince,
        "onrostersince rostersince ingroupsince inclasssince ingruppeseit indergruppeseit inklasseseit \
         inderklasseseit danslegroupedepuis danslaclassedepuis enelgrupodesde enlaclasedesde \
         nelgruppodal nellaclassedal nogrupodesde naturmadesde indegroepsinds indeklassinds",
    ),
    (
        Known::ConsentGivenBy,
        "consentgivenby consentby einwilligungvon einwilligungdurch consentementdonnepar \
         consentementpar consentementde consentimientode consentimientodadopor consensodi \
         consensodatoda",
    ),
    (
        Known::ConsentAt,
        "consentat consentdate consentgivenat consenton einwilligungam einwilligungvom einwilligungsdatum \
         consentementdu consentementle datedeconsentement dateduconsentement fechadeconsentimiento \
         fechadelconsentimiento datadelconsenso dataconsenso",
    ),
    (Known::ConsentBasis, "consentbasis legalbasis rechtsgrundlage baselegale baselegal basegiuridica"),
    (
        Known::ConsentExpiresAt,
        "consentexpiresat consentexpires consentexpiry consentuntil consentvaliduntil consentend consentendsat \
         einwilligungbis einwilligunggultigbis einwilligunggueltigbis einwilligungsende einwilligungende \
         consentementjusquau \
         findeconsentement consentimientohasta consensofinoal scadenzaconsenso",
    ),
    (Known::ConsentNote, "consentnote einwilligungnotiz notedeconsentement notadeconsentimiento notaconsenso"),
    (Known::FamilyNameOrName, "nom"),
    (Known::GivenNameOrName, "nombre nome"),
];

impl Known {
    const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::GivenName | Self::GivenNameOrName => "given_name",
            Self::FamilyName | Self::FamilyNameOrName => "family_name",
            Self::Email => "email",
            Self::Groups => "groups",
            Self::OnRosterSince => "on_roster_since",
            Self::ConsentGivenBy => "consent.given_by",
            Self::ConsentAt => "consent.at",
            Self::ConsentBasis => "consent.basis",
            Self::ConsentExpiresAt => "consent.expires_at",
            Self::ConsentNote => "consent.note",
        }
    }
}

/// A column with a heading.
struct Column {
    heading: String,
    /// None: it is an entry of the metadata.
    known: Option<Known>,
}

/// The columns of a roster; those without a heading are passed over.
pub(super) struct Columns(Vec<Option<Column>>);

impl Columns {
    /// By the headings. Errors: `Invalid` `invalid_csv`.
    pub(super) fn new(header: &StringRecord) -> Result<Self> {
        if header.len() > MAX_COLUMNS {
            let message = format!("the header has {} columns, at most {MAX_COLUMNS} can be read", header.len());
            return Err(invalid(message));
        }
        let headings: Vec<&str> = header.iter().map(str::trim).collect();
        for (index, heading) in headings.iter().enumerate().filter(|(_, heading)| !heading.is_empty()) {
            let lower = heading.to_lowercase();
            if headings[..index].iter().any(|earlier| earlier.to_lowercase() == lower) {
                return Err(invalid(format!("the header names {heading:.64} twice")));
            }
        }
        let known = known(&headings);
        if !known.contains(&Some(Known::Id)) {
            let names: Vec<&str> = headings.into_iter().filter(|heading| !heading.is_empty()).collect();
            let names: String = names.join(", ").chars().take(100).collect();
            return Err(invalid(format!(
                "the first line is a header and names a column id, and name for new people; its columns are: {names}"
            )));
        }
        let column =
            |(heading, known): (&str, _)| (!heading.is_empty()).then(|| Column { heading: heading.to_owned(), known });
        if let Some((heading, _)) =
            headings.iter().zip(&known).find(|(heading, known)| known.is_none() && tells_of_consent(heading))
        {
            return Err(invalid(format!(
                "the column {heading:.64} tells of a consent, and not what: call it consent given by, consent at, consent \
                 expires at, consent basis or consent note"
            )));
        }
        Ok(Self(headings.into_iter().zip(known).map(column).collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each heading with what it was taken for, in their order.
    pub(super) fn meanings(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let meaning = |column: &Column| column.known.map_or("metadata", Known::name);
        self.0.iter().flatten().map(move |column| (column.heading.as_str(), meaning(column)))
    }

    /// Puts a row's fields where they belong.
    pub(super) fn fill(&self, row: &mut RosterRow, fields: &StringRecord) {
        let (mut name, mut given, mut family) = (None, None, None);
        for (column, field) in self.0.iter().zip(fields) {
            let (Some(Column { heading, known }), field) = (column, field.trim()) else { continue };
            if field.is_empty() {
                continue;
            }
            let text = || Some(field.to_owned());
            let RosterConsent { given_by, at, basis, expires_at, note } = &mut row.consent;
            match known {
                None => row.metadata.push((heading.clone(), field.to_owned())),
                Some(Known::Id) => field.clone_into(&mut row.id),
                Some(Known::Name) => name = Some(field),
                Some(Known::GivenName | Known::GivenNameOrName) => given = Some(field),
                Some(Known::FamilyName | Known::FamilyNameOrName) => family = Some(field),
                Some(Known::Email) => row.email = text(),
                Some(Known::Groups) => {
                    let groups = field.split(GROUP_SEPARATORS).map(str::trim).filter(|group| !group.is_empty());
                    row.groups = groups.map(str::to_owned).collect();
                }
                Some(Known::OnRosterSince) => row.on_roster_since = text(),
                Some(Known::ConsentGivenBy) => *given_by = text(),
                Some(Known::ConsentAt) => *at = text(),
                Some(Known::ConsentBasis) => *basis = text(),
                Some(Known::ConsentExpiresAt) => *expires_at = text(),
                Some(Known::ConsentNote) => *note = text(),
            }
        }
        row.name = full_name(name.or(family), given);
    }
}

/// Whether a heading has the word in one of the languages: kept as metadata, a consent would never end.
fn tells_of_consent(heading: &str) -> bool {
    let bare = bare(heading);
    ["consent", "consens", "einwilligung", "toestemming"].iter().any(|word| bare.contains(word))
}

/// A name of its parts. `Name` beside `Vorname` is as often the whole name as the family's; who is called Dee Dee has one
/// word in both.
fn full_name(name: Option<&str>, given: Option<&str>) -> Option<String> {
    let is_whole = |name: &str, given: &str| {
        let (name, given) = (words(name), words(given));
        given.is_subset(&name) && given.len() < name.len()
    };
    match (name, given) {
        (Some(name), Some(given)) if !is_whole(name, given) => Some(format!("{given} {name}")),
        (name, given) => name.or(given).map(str::to_owned),
    }
}

/// What each heading stands for.
fn known(headings: &[&str]) -> Vec<Option<Known>> {
    let bare: Vec<String> = headings.iter().map(|heading| bare(heading)).collect();
    let mut known = vec![None; headings.len()];
    for (meaning, names) in HEADINGS {
        let column = names.split(' ').find_map(|name| bare.iter().position(|bare| bare == name));
        if let Some(column) = column {
            known[column] = Some(meaning);
        }
    }
    let of = |known: &[Option<Known>], meaning: Known| known.iter().position(|one| *one == Some(meaning));
    // Words that are a part of the name in company, and alone the whole.
    for (meaning, part, other) in [
        (Known::FamilyNameOrName, Known::FamilyName, Known::GivenName),
        (Known::GivenNameOrName, Known::GivenName, Known::FamilyName),
    ] {
        if let Some(column) = of(&known, meaning) {
            let in_company = of(&known, other).is_some() && of(&known, part).is_none();
            known[column] =
                if in_company { Some(part) } else { Some(Known::Name).filter(|_| of(&known, Known::Name).is_none()) };
        }
    }
    // Beside the whole name its parts say nothing more.
    if of(&known, Known::Name).is_some() && of(&known, Known::FamilyName).is_some() {
        for one in &mut known {
            *one = one.filter(|one| ![Known::GivenName, Known::FamilyName].contains(one));
        }
    }
    known
}

/// Whether a heading stands for something that is no metadata.
#[cfg(any(test, fuzzing))]
pub(in crate::intake) fn is_known(heading: &str) -> bool {
    let bare = bare(heading);
    HEADINGS.iter().any(|(_, names)| names.split(' ').any(|name| name == bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings(header: &[&str]) -> Vec<&'static str> {
        Columns::new(&header.to_vec().into()).unwrap().meanings().map(|(_, meaning)| meaning).collect()
    }

    #[test]
    fn headings_are_taken_as_people_write_them() {
        for (header, expected) in [
            (&["ID", "Name", "E-Mail", "Groups"][..], &["id", "name", "email", "groups"][..]),
            (&["Student ID", "First Name", "Last name", "Class"], &["id", "given_name", "family_name", "groups"]),
            (&["Schüler-Nr.", "Nachname", "Vorname", "Klasse"], &["id", "family_name", "given_name", "groups"]),
            (&["Matrikelnummer", "Name", "Vorname", "E-Mail-Adresse"], &["id", "name", "given_name", "email"]),
            (&["N° élève", "Nom", "Prénom", "Courriel"], &["id", "family_name", "given_name", "email"]),
            (&["Identifiant", "Nom", "Groupe"], &["id", "name", "groups"]),
            (
                &["Matrícula", "Nombre", "Apellidos", "Correo electrónico"],
                &["id", "given_name", "family_name", "email"],
            ),
            (&["id", "Nombre", "Grupo"], &["id", "name", "groups"]),
            (&["Matricola", "Cognome", "Nome", "Classe"], &["id", "family_name", "given_name", "groups"]),
            (&["id", "Klasse", "In der Klasse seit"], &["id", "groups", "on_roster_since"]),
            (&["id", "On_Roster_Since", "Eintritt"], &["id", "on_roster_since", "metadata"]),
            (&["id", "name", "Vorname", "Nachname"], &["id", "name", "metadata", "metadata"]),
            (&["id", "Matricola", "name", "Seat No"], &["id", "metadata", "name", "metadata"]),
            (
                &["id", "Einwilligung von", "Einwilligung am", "Einwilligung bis", "Rechtsgrundlage"],
                &["id", "consent.given_by", "consent.at", "consent.expires_at", "consent.basis"],
            ),
        ] {
            assert_eq!(meanings(header), expected, "{header:?}");
        }
    }

    #[test]
    fn a_heading_stands_for_one_thing() {
        let mut all: Vec<&str> = HEADINGS.iter().flat_map(|(_, names)| names.split(' ')).collect();
        assert!(all.iter().all(|name| bare(name) == *name), "they are written as they are compared");
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    }

    #[test]
    fn a_consent_that_is_not_understood_is_no_metadata() {
        let of = |heading: &str| Columns::new(&StringRecord::from(vec!["id", heading]));
        for heading in ["Consent", "Consenso foto", "Einwilligung (Foto)", "Consentement parental", "Toestemming tot"] {
            let refused = of(heading).err().unwrap();
            assert!(refused.code() == "invalid_csv" && refused.message().contains(heading), "{refused:?}");
        }
        for heading in ["Consent expiry", "Einwilligung gültig bis", "Consentement le", "Sent"] {
            assert!(of(heading).is_ok(), "{heading}");
        }
    }

    #[test]
    fn a_name_is_made_of_its_parts() {
        for (name, given, expected) in [
            (Some("Lovelace"), Some("Ada"), Some("Ada Lovelace")),
            (Some("Ada Lovelace"), Some("ADA"), Some("Ada Lovelace")),
            (Some("Adams"), Some("Ada"), Some("Ada Adams")),
            (Some("Dee"), Some("Dee"), Some("Dee Dee")),
            (None, Some("Ada"), Some("Ada")),
            (Some("Lovelace"), None, Some("Lovelace")),
            (None, None, None),
        ] {
            assert_eq!(full_name(name, given).as_deref(), expected);
        }
    }
}
