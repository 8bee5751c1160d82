//! The contract of every vendor client, kept against the loopback servers: what is listed is what was made, nothing is
//! made twice, strangers stay strangers, each fault is told as what it is, and no secret is told at all.

#[path = "vendors/case.rs"]
mod case;
#[path = "vendors/cloudflare.rs"]
mod cloudflare;
#[path = "vendors/contract.rs"]
mod contract;
#[path = "vendors/faults.rs"]
mod faults;
#[path = "vendors/pages.rs"]
mod pages;
#[path = "vendors/patience.rs"]
mod patience;
#[path = "vendors/place.rs"]
mod place;
#[path = "vendors/sentry.rs"]
mod sentry;
#[path = "vendors/shared.rs"]
mod shared;
#[path = "vendors/stripe.rs"]
mod stripe;
#[path = "vendors/uptimerobot.rs"]
mod uptimerobot;

/// Each law as a test for each vendor.
macro_rules! laws {
    ($from:ident: $($law:ident),* $(,)?) => { $(
        mod $law {
            use crate::{case, $from};

            #[tokio::test]
            async fn cloudflare() {
                $from::$law(case::Records).await;
            }

            #[tokio::test]
            async fn stripe() {
                $from::$law(case::Endpoints).await;
            }

            #[tokio::test]
            async fn uptimerobot() {
                $from::$law(case::Monitors).await;
            }

            #[tokio::test]
            async fn sentry() {
                $from::$law(case::Projects).await;
            }
        }
    )* };
}

laws!(contract:
    a_list_shows_what_was_made,
    every_call_may_be_repeated,
    a_change_keeps_the_row_and_its_mark,
    what_is_gone_is_deleted_and_cannot_be_changed,
    strangers_stay_strangers,
);
laws!(faults:
    a_read_that_fails_is_told_as_what_it_is,
    a_write_that_fails_is_told_as_what_it_is,
    a_write_without_an_answer_is_found_and_not_made_twice,
    a_list_that_fails_is_no_empty_list,
    a_denied_credential_is_left_alone_until_it_changes,
    of_one_call_that_is_unauthorized_all_others_learn,
    a_throttled_credential_is_left_alone_for_as_long_as_was_said,
    a_vendor_that_is_down_is_unreachable_and_comes_back,
);
laws!(patience:
    what_is_not_answered_in_time_is_not_waited_for,
    a_vendor_with_anothers_certificate_is_not_talked_to,
    a_credential_that_is_given_back_its_rights_is_found_good,
    who_throttles_and_does_not_say_for_how_long_is_left_alone,
    a_delete_that_fails_is_told_and_may_be_repeated,
    a_change_without_an_answer_may_be_repeated,
);
laws!(pages: a_list_of_three_pages_is_read_whole, what_is_unknown_in_a_list_does_no_harm);
