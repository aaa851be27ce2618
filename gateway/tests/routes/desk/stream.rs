//! The stream of the desk: its lists as they change, read once for all clients.

use super::*;
use crate::statistics::events;

/// The reads of one frame: one of each list.
const FRAME_READS: usize = 3;

#[tokio::test]
async fn stream_begins_with_all_lists_and_continues_with_the_one_that_changes() {
    let desk = Desk::open();
    desk.park(1);

    let change = async {
        let world = desk.world();
        while world.inner().reads < FRAME_READS {
            tokio::task::yield_now().await;
        }
        {
            let mut inner = world.inner();
            inner.desk.dead = vec![letter(17)];
            inner.desk_changes.send_modify(|count| *count += 1);
        }
        while world.inner().reads < 2 * FRAME_READS {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The task that has read hands the frame out before this one runs again.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        desk.gateway.state.drain();
    };
    let (response, ()) = tokio::join!(desk.get(STREAM), change);

    assert_eq!((response.status().as_u16(), header(&response, "cache-control")), (200, "no-store"));
    let events = events(&response);
    let names: Vec<_> = events.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["parked", "dead-letters", "actions", "dead-letters", "end"]);
    assert_eq!(events[0].1["items"][0]["key"], "o-0000");
    assert_eq!(events[1].1, json!({ "items": [], "next": null }));
    assert_eq!(events[3].1["items"][0]["dead_offset"], 17);
}

#[tokio::test]
async fn two_hundred_clients_cost_one_read_of_each_list() {
    let desk = Desk::open();
    let clients: Vec<_> = (0..200).map(|_| desk.gateway.state.desk.subscribe()).collect();
    for mut client in clients {
        client.wait_for(Option::is_some).await.unwrap();
    }
    assert_eq!(desk.world().inner().reads, FRAME_READS);
}
