//! How phones come to trust an authority of one's own.

use fast_qr::QRBuilder;

use super::say;
use crate::error::{Error, Result};

/// Says what to do on a phone: `address` is where the running server gives the authority's certificate, in clear, as the
/// phone does not trust it yet; `fingerprint` is what the phone then shows.
pub(super) fn help(address: &str, fingerprint: &str) -> Result<()> {
    let code = QRBuilder::new(address)
        .build()
        .map_err(|error| Error::internal("the address makes no QR code").with_source(format!("{error:?}")))?;
    say(format_args!(
        "\
Then, once the server runs, on each phone or computer that is to trust it, in the same network:

  {address}

{}
iPhone, iPad: open it in Safari and allow the download. Settings > General > VPN & Device Management > the profile \
\"rollcall …\" > Install. Then Settings > General > About > Certificate Trust Settings: switch it on.
Android: open it in Chrome. Settings > Security & privacy > More > Encryption & credentials > Install a certificate > \
CA certificate > Install anyway > ca.crt.
Computers: import it as an authority for websites, in the browser's or the system's settings for certificates.

It came this way in clear: before you trust it, compare its SHA-256 fingerprint with
{fingerprint}",
        code.to_str()
    ))
}
