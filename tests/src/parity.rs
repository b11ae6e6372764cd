//! Parity: the same bits from every host, shown case by case.
//!
//! A corpus ([`corpus`]) is cut into chunks of messages ([`chunk`]). The native engine answers them first; then every
//! host ([`sandbox`], [`web`], [`child`]) gets the same bytes and gives back a digest of every reply, which [`compare`]
//! holds against the native one. Encoding and scoring get what the native engine extracted and encoded, so that a
//! difference is seen where it arises. Numbers are never decoded on the way: replies are compared as bytes.

pub mod child;
pub mod chunk;
pub mod compare;
pub mod corpus;
pub mod report;
pub mod sandbox;
pub mod web;
