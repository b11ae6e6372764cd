//! What is acknowledged is in the store once, with either side killed at any moment, and with a store that fails.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_when_either_side_is_killed() {
    let folder = published();
    let folder = folder.path();
    let mut random = Random::keyed("loss", &seed());
    let address = free_address();
    let known = Arc::new(Mutex::new(Acknowledged::default()));
    let mut collector = Process::start(folder, &address);
    let mut edge = start_edge(folder, &address);
    for round in 0..rounds() {
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|c| {
                tokio::spawn(client(edge.clone(), format!("{round}-{c}"), known.clone(), count.clone(), stop.clone()))
            })
            .collect();
        let started = Instant::now();
        let kills = 1 + random.below(3);
        let mut of_edge = false;
        // The collector is killed some times under load, and the edge as the last one in every second round:
        // at a moment when the clients have heard some answers, or the store has some commits more.
        for kill in 1..=kills {
            let more = 1 + random.below(12);
            let by_commits = random.below(2) == 0;
            let so_far = || if by_commits { commits(folder) } else { count.load(Ordering::Relaxed) };
            let moment = so_far() + more;
            while so_far() < moment {
                assert!(started.elapsed() < PATIENCE, "nothing is acknowledged, or nothing compacted");
                tokio::task::yield_now().await;
            }
            of_edge = kill == kills && round % 2 == 0;
            if of_edge {
                edge.sigkill();
            } else {
                collector.sigkill();
                collector = Process::start(folder, &address);
            }
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        if of_edge {
            edge = start_edge(folder, &address);
        }
    }
    drained(folder, &edge).await;
    let store = Warehouse::open(folder.join("store").to_str().unwrap()).await.unwrap();
    assert_eq!(store.quarantine(Day::ALL).count(), 0, "an edge's rows hold");
    let (known, stored) = (known.lock().await, stored(&store).await);
    exactly_once("requests", known.requests.iter(), &stored.requests);
    exactly_once("impressions", known.impressions.iter(), &stored.impressions);
    exactly_once("interactions", known.interactions.keys(), &stored.interactions);
    exactly_once("requests as they came", kept(&known.requests).iter(), &stored.raw);
    assert!(known.requests.len() as u64 > rounds() * 2, "the load was light");
    println!("{} commits, {} files of rows", store.sequence(), store.rows("podcasts", Day::ALL).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_stalls_and_writes_in_part_loses_and_doubles_nothing() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 60).await;
    let seed = seed();
    let mut random = Random::keyed("batches", &seed);
    std::fs::create_dir_all(folder.join("store")).unwrap();
    for round in 0..rounds() {
        let place = folder.join("store").join(round.to_string());
        std::fs::create_dir_all(&place).unwrap();
        let local = LocalFileSystem::new_with_prefix(&place).unwrap();
        let percent = 15 + random.below(25);
        let stall = Duration::from_millis(150);
        let faulty = Arc::new(Faulty::new(local, &format!("{seed} {round}"), percent, stall));
        let objects = Objects::over(faulty.clone(), "faulty", Duration::from_millis(50));
        let settings = Settings { small_files: 3, round_bytes: 20_000, ..Settings::default() };
        let open = async || loop {
            if let Ok(collector) = collector(folder, objects.clone(), settings.clone()).await {
                return collector;
            }
        };
        let mut collector = open().await;
        let (mut from, mut sent, mut failures) = (0, 0, 0u64);
        while from < entries.len() {
            let to = (from + 1 + random.below(9) as usize).min(entries.len());
            // Some entries come again in another batch, as a client's second try does.
            let again = from.saturating_sub(random.below(4) as usize);
            let body = batch(&entries[again..to]);
            loop {
                match collector.accept("edge", &format!("batch-{sent}"), body.clone().into()).await {
                    Ok(_) => break,
                    Err(AcceptError::Store(_)) => failures += 1,
                    Err(error) => panic!("round {round}: {error}"),
                }
            }
            (from, sent) = (to, sent + 1);
            if random.below(3) == 0 && collector.compact().await.is_err() {
                failures += 1;
            }
            if random.below(8) == 0 {
                // What a crash leaves behind is all in the store.
                collector = open().await;
            }
        }
        faulty.calm();
        // What was late has come now.
        tokio::time::sleep(stall * 2).await;
        let started = Instant::now();
        // A machine that is busy may still stall longer than the store's patience.
        while !matches!(collector.compact().await, Ok(Round { batches: 0, more: false })) {
            assert!(started.elapsed() < PATIENCE, "{:?}", collector.status());
        }
        assert_eq!(collector.status(), Status::default());
        // Read with more patience than the collector had.
        let place = Objects::open(place.to_str().unwrap()).unwrap();
        let stored = stored(&Warehouse::of(place.clone()).await.unwrap()).await;
        let known = ids(&entries);
        println!("round {round}: {} faults in a hundred, {} faults, {failures} failures", percent, faulty.faults());
        exactly_once("requests", known.requests.iter(), &stored.requests);
        exactly_once("impressions", known.impressions.iter(), &stored.impressions);
        exactly_once("interactions", known.interactions.keys(), &stored.interactions);
        exactly_once("requests as they came", kept(&known.requests).iter(), &stored.raw);
        assert_eq!(place.list("batches").await.unwrap(), [], "compacted batches are deleted");
        assert!(faulty.faults() > 0 && failures > 0, "the store was too good");
    }
}
