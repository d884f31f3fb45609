//! The live page in a real browser: it draws, its values change, and it says when the server is gone.
//! Skipped with a line where there is no Chromium.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::is_installed;
use crate::harness::browser::Browser;
use crate::harness::process::{Server, until};

/// A browser may take its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn has_browser() -> bool {
    let found = is_installed("chromium");
    if !found {
        println!("SKIPPED: chromium is not installed");
    }
    found
}

/// The page's text at this id.
fn text(browser: &mut Browser, id: &str) -> String {
    let found = browser.evaluate(&format!("document.getElementById({id:?})?.textContent ?? ''"));
    found.as_str().unwrap().to_owned()
}

/// A browser of this width, in which the server's page is live.
fn browser_at_page(server: &Server, width: u32) -> Browser {
    let mut browser = Browser::start(width);
    browser.open(&format!("http://{}/", server.metrics()));
    until_page(&mut browser, "document.body?.dataset.state === 'live'");
    browser
}

/// Waits until a JavaScript condition holds in the page.
fn until_page(browser: &mut Browser, condition: &str) {
    until(condition, PATIENCE, || browser.evaluate(condition) == json!(true));
}

#[test]
fn the_page_draws_and_its_values_change() {
    if !has_browser() {
        return;
    }
    let server = Server::start(&["-p", "0", "-c", "77", "--metrics", "0"]);
    let mut browser = browser_at_page(&server, 1200);
    assert_eq!(text(&mut browser, "connections-note"), "of 77");
    assert_eq!(text(&mut browser, "items"), "0");
    assert_eq!(browser.evaluate("document.querySelectorAll('#traffic path').length"), json!(0));
    let mut client = server.tcp();
    let mut ask = || {
        client.ask(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n");
        client.ask(
            b"get a a a b\r\n",
            &[&b"VALUE a 0 1\r\nx\r\n".repeat(3)[..], b"END\r\n"].concat(),
        );
    };
    until("the rate of requests is shown", PATIENCE, || {
        ask();
        browser.evaluate("Number(document.getElementById('requests').textContent) > 0") == true
    });
    // An area for each kind of request that there was.
    until("hits, misses and sets are drawn", PATIENCE, || {
        ask();
        let drawn = "['hit', 'miss', 'set'].every((kind) => \
                     document.querySelector(`#traffic .area.${kind}`)?.getAttribute('d'))";
        browser.evaluate(drawn) == true
    });
    assert_eq!(text(&mut browser, "ratio"), "75.0");
    assert_eq!(text(&mut browser, "items"), "1");
    for id in ["request-time", "turn-time"] {
        let columns =
            browser.evaluate(&format!("document.querySelectorAll('#{id} .column').length"));
        assert!(columns.as_u64().unwrap() > 0, "{id}");
    }
    until("the hot keys are shown", PATIENCE, || {
        ask();
        let keys = "[...document.querySelectorAll('#hot-keys td:first-child')].map((key) => key.textContent)";
        browser.evaluate(keys) == json!(["a", "b"])
    });
    let first = text(&mut browser, "requests-note");
    until("it goes on changing", PATIENCE, || {
        ask();
        text(&mut browser, "requests-note") != first
    });
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn the_page_says_when_the_server_is_gone_and_recovers() {
    if !has_browser() {
        return;
    }
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    let mut browser = browser_at_page(&server, 1200);
    server.while_stopped(|| {
        until_page(&mut browser, "document.body.dataset.state === 'lost'");
        assert!(text(&mut browser, "state").starts_with("no answer for "));
    });
    until_page(&mut browser, "document.body.dataset.state === 'live'");
    assert_eq!(text(&mut browser, "state"), "live");
}

/// Nothing is wider than the screen of a phone, and no text is cut.
#[test]
fn the_page_fits_a_phone() {
    if !has_browser() {
        return;
    }
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    let mut browser = browser_at_page(&server, 375);
    for scheme in ["light", "dark"] {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        browser.call("Emulation.setEmulatedMedia", json!({"features": features}));
        assert_eq!(browser.evaluate("document.documentElement.scrollWidth"), json!(375));
        let cut = "[...document.querySelectorAll('dt, dd, h1, h2, li, p')].filter((one) => \
                   one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)";
        assert_eq!(browser.evaluate(cut), json!([]));
        assert_eq!(faint_texts(&mut browser), json!([]), "{scheme}");
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// Texts with less contrast to their ground than 4.5, which WCAG 2 asks for (level AA).
fn faint_texts(browser: &mut Browser) -> Value {
    browser.evaluate(
        "(() => {
            const light = (color) => {
                const [r, g, b] = color.match(/[0-9.]+/g).map((part) => part / 255)
                    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
            };
            const ground = (one) => {
                const color = getComputedStyle(one).backgroundColor;
                return color === 'rgba(0, 0, 0, 0)' ? ground(one.parentElement) : color;
            };
            const texts = [...document.querySelectorAll('dt, dd, b, h1, h2, small, span, p, a, th')];
            return texts.filter((one) => {
                const pair = [light(getComputedStyle(one).color), light(ground(one))];
                return Math.max(...pair) / Math.min(...pair) < 4.5;
            }).map((one) => one.textContent);
        })()",
    )
}
